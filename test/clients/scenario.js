// What a program does with the operations, and what must come back: run as
//   node scenario.js CLIENT BASE_URL DOCUMENT_FILE FIXTURE_JSON [--proxied]
// Prints nothing and exits 0 when every answer is as promised. With --proxied, requests that break
// the document on purpose are left out, because a validating proxy answers them itself.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { makers } from './clients.js';

const PARSE_ERROR = 'Json parse error, verify Json format matches the API description.';

function check_answer(answer, status) {
  const text = JSON.stringify(answer);
  assert.equal(answer.status, status, text);
  assert.match(answer.body.requestId, /^[0-9a-z]{1,19}$/, text);
  assert.equal(answer.headers['x-traceid'], answer.body.requestId, text);
  assert.equal(answer.headers['sl-violations'], undefined, text);
  return answer.body;
}

function check_refusal(answer, status, first_error, mention) {
  const body = check_answer(answer, status);
  assert.equal(body.errors[0], first_error);
  if (mention)
    assert.ok(
      body.errors.some((error) => error.includes(mention)),
      JSON.stringify(body),
    );
}

async function successes(client, fixture) {
  const { callId, otherCallId, userIds } = fixture;
  const grants = async () => {
    const body = check_answer(
      await client.list({ filter: { callIds: [callId, otherCallId] } }),
      200,
    );
    return Object.fromEntries(
      body.callAccessList.map((entry) => [entry.callId, entry.users.map((user) => user.userId)]),
    );
  };
  const pairs = {
    callAccessList: [
      { callId, userIds },
      { callId: otherCallId, userIds: [userIds[0]] },
    ],
  };
  const sorted = [...userIds].sort((a, b) => (BigInt(a) < BigInt(b) ? -1 : 1));

  check_answer(await client.remove(pairs), 200);
  assert.deepEqual(await grants(), { [callId]: [], [otherCallId]: [] });
  check_answer(await client.give(pairs), 200);
  check_answer(await client.give(pairs), 200);
  assert.deepEqual(await grants(), { [callId]: sorted, [otherCallId]: [userIds[0]] });
  check_answer(await client.remove({ callAccessList: [{ callId, userIds: [userIds[0]] }] }), 200);
  assert.deepEqual(await grants(), {
    [callId]: sorted.filter((id) => id !== userIds[0]),
    [otherCallId]: [userIds[0]],
  });
  check_answer(await client.give({ callAccessList: [] }), 200);
  check_answer(await client.give({ callAccessList: [{ callId, userIds: [] }] }), 200);
  check_answer(await client.remove(pairs), 200);
}

async function refusals(client, fixture) {
  const { callId, userIds, unknownId } = fixture;
  const of_call = (id) => ({ callAccessList: [{ callId: id, userIds }] });
  for (const operation of ['give', 'remove'])
    check_refusal(
      await client[operation](of_call(unknownId)),
      400,
      'Some calls not found',
      unknownId,
    );
  check_refusal(
    await client.list({ filter: { callIds: [callId, unknownId] } }),
    400,
    'Some calls not found',
    unknownId,
  );
  check_refusal(
    await client.give({ callAccessList: [{ callId, userIds: [unknownId] }] }),
    400,
    'Some users not found',
    unknownId,
  );
  check_answer(await client.remove({ callAccessList: [{ callId, userIds: [unknownId] }] }), 200);
}

async function broken_requests(client, fixture) {
  const { callId } = fixture;
  check_refusal(await client.list({ filter: {} }), 400, PARSE_ERROR);
  check_refusal(await client.list({ filter: { callIds: [] } }), 400, PARSE_ERROR);
  check_refusal(
    await client.give({ callAccessList: [{ callId, userIds: ['x'] }] }),
    400,
    PARSE_ERROR,
  );
  check_refusal(
    await client.give({ callAccessList: [{ callId, userIds: [31] }] }),
    400,
    PARSE_ERROR,
  );
  check_refusal(await client.remove({}), 400, PARSE_ERROR);
}

async function credentials(make, document, base_url, fixture) {
  const list = { filter: { callIds: [fixture.callId] } };
  const wrong = await make(document, base_url, { ...fixture.key, secret: 'not-the-secret' });
  check_refusal(await wrong.list(list), 401, 'Access denied');
  const reader = await make(document, base_url, fixture.readerKey);
  check_answer(await reader.list(list), 200);
  const refusal = "You don't have permission to use 'api:call-user-access:write' in your app.";
  check_refusal(await reader.give({ callAccessList: [] }), 401, refusal);
  check_refusal(await reader.remove({ callAccessList: [] }), 401, refusal);
}

// What is of Earshot alone: checks, lists of who may hear what, grants with results, and the past.
async function access({ call }, fixture) {
  const { callId, otherCallId, userIds, unknownId } = fixture;
  const [userId, secondId] = userIds;
  const checks = [
    { callId, userId },
    { callId: unknownId, userId },
  ];
  const check = async (parameters = {}) =>
    check_answer(await call('checkAccess', parameters, { checks }), 200);
  const before = await check();
  assert.deepEqual(
    before.results.map((result) => [result.allowed, result.reason]),
    [
      [false, 'call is private'],
      [false, 'unknown call'],
    ],
  );

  const key = { 'idempotency-key': `${name}-${base_url}` };
  const expiresAt = '2090-01-01T00:00:00Z';
  const grants = [
    { callId, userId, expiresAt, note: 'for the audit' },
    { callId, userId: secondId },
    { callId: otherCallId, userId },
  ];
  const given = check_answer(await call('giveGrants', key, { grants }), 200);
  assert.deepEqual(
    given.results.map((result) => result.result),
    ['given', 'given', 'given'],
  );
  const again = await call('giveGrants', key, { grants });
  assert.equal(again.headers['idempotent-replayed'], 'true');
  assert.deepEqual(check_answer(again, 200), given);
  check_refusal(
    await call('giveGrants', key, { grants: [] }),
    422,
    'This key was used for another request',
  );
  check_refusal(
    await call('giveGrants', {}, { grants, ifRevision: before.revision }),
    409,
    'Some calls have changed',
    callId,
  );
  assert.deepEqual((await check()).results[0].ways, [
    { way: 'individual', expiresAt, note: 'for the audit' },
  ]);
  assert.deepEqual((await check({ revision: before.revision })).results, before.results);

  const users = [];
  const revisions = new Set();
  let cursor;
  do {
    const page = check_answer(
      await call('listCallAccess', { callId, limit: 1, ...(cursor && { cursor }) }, undefined),
      200,
    );
    users.push(...page.users.map((user) => user.userId));
    revisions.add(page.revision);
    cursor = page.records.cursor;
  } while (cursor);
  assert.equal(revisions.size, 1);
  for (const one of userIds) assert.ok(users.includes(one), JSON.stringify(users));
  const calls = check_answer(
    await call('listUserAccess', { userId, way: ['individual', 'shared'] }, undefined),
    200,
  );
  assert.deepEqual(
    calls.calls.map((entry) => entry.callId),
    [callId, otherCallId],
  );

  for (const [allOf, count] of [
    [{ callId }, 2],
    [{ userId }, 1],
  ]) {
    const removed = check_answer(await call('removeGrants', {}, { allOf }), 200);
    assert.deepEqual(
      removed.results.map((result) => result.result),
      Array(count).fill('removed'),
    );
  }
  assert.equal((await check()).results[0].allowed, false);
}

// Records put in and read, keys made and revoked, and what the feed and the refusals say of it.
async function administration(make_client, { call }, fixture) {
  const userId = '77';
  const callId = '707';
  const record = { kind: 'call', callId, primaryUserId: userId, title: name };
  const lines = [{ kind: 'user', userId, firstName: 'Rosa' }, record];
  const put = check_answer(
    await call('putRecords', {}, lines.map((line) => `${JSON.stringify(line)}\n`).join('')),
    200,
  );
  assert.equal(put.records, lines.length);
  check_refusal(await call('putRecords', {}, '{"kind":"company"}\n'), 400, 'Bad records', 'company');
  assert.deepEqual(check_answer(await call('getCall', { callId }), 200).record, record);
  assert.equal(check_answer(await call('getUser', { userId }), 200).record.firstName, 'Rosa');

  const after = put.revision - 1;
  const page = check_answer(await call('listChanges', { after, limit: 1 }), 200);
  assert.equal(page.revisions[0].revision, put.revision);
  assert.equal(page.revisions[0].operation, 'records');
  const of_call = check_answer(await call('listChanges', { after, callId }), 200);
  assert.deepEqual(
    of_call.revisions.flatMap(({ changes }) => changes.map((change) => change.record.callId)),
    [callId],
  );
  const head = check_answer(await call('getChangesHead', {}), 200);
  assert.ok(head.revision >= put.revision);
  assert.match(head.hash, /^[0-9a-f]{64}$/);

  const made = check_answer(
    await call('createKey', {}, { scopes: ['earshot:audit:read'] }),
    200,
  ).key;
  const auditor = await make_client({ access_key: made.accessKey, secret: made.secret });
  assert.equal(
    check_answer(await auditor.call('getChangesHead', {}), 200).revision,
    head.revision + 1,
  );
  const listed = check_answer(await call('listKeys', {}), 200).keys;
  assert.ok(listed.some((key) => key.accessKey === made.accessKey));
  assert.ok(!JSON.stringify(listed).includes(made.secret));
  check_answer(await call('revokeKey', {}, { accessKey: made.accessKey }), 200);
  check_refusal(await auditor.call('getChangesHead', {}), 401, 'Access denied');

  const stranger = await make_client({ ...fixture.adminKey, secret: 'not-the-secret' });
  const refused = await stranger.call('listKeys', {});
  check_refusal(refused, 401, 'Access denied');
  for (let attempts = 0; ; ++attempts) {
    const { refusals } = check_answer(await call('listRefusals', {}), 200);
    const mine = refusals.find((one) => one.requestId === refused.body.requestId);
    if (mine) {
      assert.equal(mine.accessKey, fixture.adminKey.access_key);
      assert.equal(mine.operation, 'listKeys');
      break;
    }
    // They are in the list within about a second.
    assert.ok(attempts < 100, JSON.stringify(refusals));
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

const [name, base_url, document_file, fixture_json, ...options] = process.argv.slice(2);
const document = JSON.parse(await readFile(document_file, 'utf8'));
const fixture = JSON.parse(fixture_json);
const make = makers[name];
const client = await make(document, base_url, fixture.key);
await successes(client, fixture);
await refusals(client, fixture);
await access(await make(document, base_url, fixture.accessKey), fixture);
const with_key = (key) => make(document, base_url, key);
await administration(with_key, await with_key(fixture.adminKey), fixture);
if (!options.includes('--proxied')) await broken_requests(client, fixture);
await credentials(make, document, base_url, fixture);
