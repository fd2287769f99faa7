-- What wrk sends for ./dev bench, as a closed loop: reads of calls drawn uniformly, gives of pairs
-- of call and user that were never given before, checks of pairs drawn uniformly, or the same request
-- again and again. It judges no answer; generators.py does.
--
-- Arguments: the kind, the file of the request's head, then
--   read: the file of call ids, how many calls a request names, how many requests are sent at once,
--         and the seed
--   give: the file of call ids, that of user ids, how many pairs a request gives, and the first
--         place and the stride in the sequence (see dataset.py)
--   check: the file of pairs, a call and a user a line, how many a request names, and the seed
--   same: nothing; the file is the whole request
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

local function make_checker(head, pairs, count)
  local items = {}
  for i, pair in ipairs(pairs) do
    local call, user = pair:match("(%d+) (%d+)")
    items[i] = '{"callId":"' .. call .. '","userId":"' .. user .. '"}'
  end
  if count == 1 then
    return function() return message(head, '{"checks":[' .. items[math.random(#items)] .. ']}') end
  end
  local prepared = {}
  local kinds = math.max(2, math.floor(CALLS_PREPARED / count))
  for i = 1, kinds do
    local chosen = {}
    for j = 1, count do chosen[j] = items[math.random(#items)] end
    prepared[i] = message(head, '{"checks":[' .. table.concat(chosen, ",") .. "]}")
  end
  return function() return prepared[math.random(kinds)] end
end

local make_request
local probe

function init(args)
  local head = text_of(args[2])
  local number = function(place) return tonumber(args[place]) end
  if args[1] == "read" then
    math.randomseed(number(6))
    make_request = make_reader(head, lines_of(args[3]), number(4), number(5))
  elseif args[1] == "give" then
    make_request = make_giver(head, lines_of(args[3]), lines_of(args[4]), number(5), number(6),
                              number(7))
  elseif args[1] == "check" then
    math.randomseed(number(5))
    make_request = make_checker(head, lines_of(args[3]), number(4))
  else
    make_request = function() return head end
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
