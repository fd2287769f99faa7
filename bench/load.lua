-- What wrk sends for ./dev bench, as a closed loop: reads of calls drawn uniformly, or gives of
-- pairs of call and user that were never given before. It judges no answer; generators.py does.
--
-- Arguments: the kind ("read" or "give"), the file of the request's head, that of call ids, then
--   read: how many calls a request names, how many requests are sent at once, and the seed
--   give: the file of user ids, how many pairs a request gives, and the first place and the stride
--         in the sequence (see dataset.py)
-- Ids stay strings: a number of Lua cannot hold 19 digits.

local CALLS_PREPARED = 400000 -- in requests that are made before the clock starts

sent = 0 -- bunches of requests; global, so that done() can ask for it

local worker
function setup(thread) worker = thread end

local function lines_of(path)
  local lines = {}
  for line in io.lines(path) do lines[#lines + 1] = line end
  return lines
end

local function text_of(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("*a")
  file:close()
  return text
end

local function message(head, body)
  return head .. "Content-Length: " .. #body .. "\r\n\r\n" .. body
end

-- No call twice in a request: the server would answer it once.
local function read_body(calls, count)
  local ids, taken = {}, {}
  while #ids < count do
    local place = math.random(#calls)
    if not taken[place] then
      taken[place] = true
      ids[#ids + 1] = calls[place]
    end
  end
  return '{"filter":{"callIds":["' .. table.concat(ids, '","') .. '"]}}'
end

local function make_reader(head, calls, count, depth)
  if count == 1 and depth == 1 then
    return function()
      return message(head, '{"filter":{"callIds":["' .. calls[math.random(#calls)] .. '"]}}')
    end
  end
  local prepared = {}
  local kinds = math.floor(CALLS_PREPARED / (count * depth))
  for i = 1, kinds do
    local bunch = {}
    for j = 1, depth do bunch[j] = message(head, read_body(calls, count)) end
    prepared[i] = table.concat(bunch)
  end
  return function() return prepared[math.random(kinds)] end
end

local function make_giver(head, calls, users, count, first, stride)
  local pairs_max = #calls * #users / 2
  local place = first
  return function()
    local items = {}
    for i = 1, count do
      local call = place % #calls
      local user = 2 * math.floor(place / #calls) + (call + 1) % 2
      place = (place + stride) % pairs_max
      items[i] = '{"callId":"' .. calls[call + 1] .. '","userIds":["' .. users[user + 1] .. '"]}'
    end
    return message(head, '{"callAccessList":[' .. table.concat(items, ",") .. "]}")
  end
end

local make_request
local probe

function init(args)
  local head, calls = text_of(args[2]), lines_of(args[3])
  local number = function(place) return tonumber(args[place]) end
  if args[1] == "read" then
    math.randomseed(number(6))
    make_request = make_reader(head, calls, number(4), number(5))
  else
    make_request = make_giver(head, calls, lines_of(args[4]), number(5), number(6), number(7))
  end
end

function request()
  -- The first request that wrk asks for is only looked at, not sent: it is given again.
  if not probe then
    probe = make_request()
    return probe
  end
  sent = sent + 1
  if sent == 1 then return probe end
  return make_request()
end

function done(summary, latency, requests)
  local e = summary.errors
  print(string.format(
    'result {"sent":%d,"answered":%d,"bytes":%d,"microseconds":%d,"p50_us":%d,"p99_us":%d,' ..
    '"errors":{"connect":%d,"read":%d,"write":%d,"timeout":%d,"status":%d}}',
    worker:get("sent"), summary.requests, summary.bytes, summary.duration,
    latency:percentile(50), latency:percentile(99),
    e.connect, e.read, e.write, e.timeout, e.status))
end
