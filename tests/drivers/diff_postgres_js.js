// What postgres.js shows: pipelined queries, named statements, its own cancels and its stream of notifications.
const postgres = require("postgres");
const { Readable } = require("stream");
const { pipeline } = require("stream/promises");
const { LABEL, Pids, fields, place, run, say } = require("./diff_transcript");

// One connection at a time, which writes down what the server tells.
function connect(options = {}) {
  const seen = { parameters: {}, notices: [] };
  const sql = postgres({ ...place, max: 1, fetch_types: false, idle_timeout: 0, max_lifetime: null, backoff: false,
    onnotice: (notice) => seen.notices.push(fields(notice)),
    onparameter: (name, value) => { seen.parameters[name] = value; }, ...options });
  sql.seen = seen;
  return sql;
}

async function error(what, promise) {
  try {
    say(what, "no error", await promise);
  } catch (caught) {
    say(what, caught.constructor.name, fields(caught));
  }
}

function result(what, got) {
  const columns = (got.columns ?? []).map((c) => [c.name, c.type, c.table !== 0, c.number]);
  say(what, got.command, got.count, columns, [...got]);
}

async function results(sql) {
  result("types", await sql`select 1::int2 as a, 2::int8 as b, 4.5::float8 as c, 6.70::numeric(8, 2) as d, true as e,
    '\\xdead'::bytea as f, '2020-02-03 04:05:06.789+02'::timestamptz as g, '{1,null,3}'::int[] as h, null::uuid as i`);
  for (const n of [1, 2]) result("named", await sql`select id, name, ${"zwölf"}::text as text from items where id = ${n}`);
  say("described", await sql`select ${1}::int as n, ${"x"}::text`.describe().then(({ string, types, columns }) =>
    [string, types, columns.map((c) => [c.name, c.type])]));
  (await sql.unsafe("select 1 as a; select 2 as b, 3 as c; set work_mem = '5MB'; select 'four'"))
    .forEach((one) => result("several", one));
  result("raw", await sql`select 1, 'x', null`.raw());
  result("values", await sql`select 1 as a, 2 as a`.values());
  result("empty", await sql.unsafe(""));
  result("made", await sql`create temp table t (id int primary key, x text check (x <> 'bad'))`);
  result("inserted", await sql`insert into t ${sql([{ id: 1, x: "a" }, { id: 2, x: "b" }])} returning *`);
  for (const size of [10, 100000, 1000000]) {
    const big = "ä".repeat(size);
    const [got] = await sql`select ${big}::text as big, md5(${big}::text)`;
    say("large", size, got.big === big, got.md5);
  }
  const many = await Promise.all(Array.from({ length: 300 }, (_, n) => sql`select ${n}::int as n`));
  say("pipelined", many.every((one, n) => one[0].n === n));
}

async function errors(sql) {
  for (const query of ["select 1 / 0", "selekt", "select nothing from items", "delete from items",
    "insert into t values (1, 'again')", "insert into t values (600, 'bad')", "select 'x'::int",
    `do $$ begin raise exception 'made by hand' using detail = 'a detail', hint = 'a hint', errcode = 'ZZ001',
     column = 'c', constraint = 'k', datatype = 'd', table = 't', schema = 's'; end $$`]) {
    await error("simple", sql.unsafe(query));
    await error("extended", sql.unsafe(query, [], { prepare: true }));
  }
  const pipelined = ["select 1 as n", "select 1 / 0", "select 2 as n"].map((query) => sql.unsafe(query, []));
  say("pipelined", (await Promise.allSettled(pipelined)).map((one) => [one.status, one.value ?? one.reason.code]));
  await error("transaction", sql.begin(async (tx) => {
    result("in it", await tx`select 1`);
    await error("savepoint", tx.savepoint((inner) => inner`select 1 / 0`));
    result("still", await tx`select 2`);
    await tx`insert into t values (1, 'again')`;
  }));
  result("after", await sql`select 3`);
}

async function notices(sql) {
  sql.seen.notices.length = 0;
  await sql.unsafe(`do $$ begin raise info 'info'; raise notice 'notice' using detail = 'its detail', hint = 'its hint';
    raise warning 'warning'; end $$`);
  await sql`drop table if exists missing`;
  say("notices", sql.seen.notices);
}

async function copies(sql) {
  const into = async (lines) => pipeline(Readable.from(lines), await sql`copy t (id, x) from stdin`.writable());
  await into(Array.from({ length: 5000 }, (_, n) => `${n + 1000}\tcopied\n`));
  result("in", await sql`select count(*)::int, sum(id)::int from t`);
  const parts = [];
  // Little enough for the buffer of a stream: of more, this driver may leave its socket paused behind the end
  // (`stream.push(…) || socket.pause()` in its CopyData), whatever the server, and the next query waits for ever.
  for await (const part of await sql`copy (select id from t where id < 2000 order by id) to stdout`.readable()) parts.push(part);
  const all = Buffer.concat(parts);
  say("out", all.length, all.subarray(0, 20), all.subarray(-20));
}

async function cursors(sql) {
  const rows = [];
  for await (const part of sql`select n from generate_series(1, 30) as n`.cursor(7)) rows.push(part.length);
  say("cursor", rows);
  await error("bad", sql`select 1 / (20 - n) from generate_series(1, 30) as n`.cursor(7, (part) => say("part", part.length)));
  let count = 0;
  await sql`select n from generate_series(1, 30) as n`.forEach(() => { count += 1; });
  say("each", count);
}

async function parameters(sql) {
  for (const [name, value] of Object.entries({ application_name: "renamed", TimeZone: "Asia/Kathmandu",
    DateStyle: "German", IntervalStyle: "iso_8601", client_encoding: "LATIN1", standard_conforming_strings: "off" })) {
    await sql.unsafe(`set ${name} = '${value}'`);
    say(name, sql.seen.parameters);
  }
  await sql.unsafe("reset all");
  say("reset", sql.seen.parameters);
}

async function cancels(sql, other) {
  const [{ pid }] = await sql`select pg_backend_pid() as pid`;
  const sleeping = sql`select pg_sleep(60)`;
  const ended = error("cancelled", sleeping);
  while ((await other`select 1 from pg_stat_activity where pid = ${pid} and wait_event = 'PgSleep'`).length !== 1);
  await sleeping.cancel(); // a CancelRequest
  await ended;
  result("works", await sql`select 1`);
}

async function notifications(sql, other) {
  const pids = new Pids();
  for (const [name, one] of [["own", sql], ["other", other]]) {
    const got = await one`select pg_backend_pid() as pid`;
    pids.learn(name, got[0].pid);
    say("pid", name, pids.name(got.state.pid));
  }
  let heard;
  const { unlisten } = await sql.listen(LABEL, (payload) => heard(payload));
  for (const payload of ["to myself", "an ä", "", "x".repeat(7999)]) {
    const coming = new Promise((resolve) => { heard = resolve; });
    await other.notify(LABEL, payload);
    say("notified", await coming);
  }
  await unlisten();
}

async function connects() {
  for (const connection of [{ application_name: "named", search_path: "pg_catalog" }, { options: "-c work_mem=6MB" },
    { work_mem: "7MB", TimeZone: "Asia/Kathmandu" }]) {
    const sql = connect({ connection });
    say("connected", connection, await sql`select current_setting('search_path'), current_setting('application_name') as a,
      current_setting('work_mem') as w`, sql.seen.parameters);
    await sql.end();
  }
  for (const options of [{ database: "nothing" }, { connection: { nothing: "1" } }, { connection: { work_mem: "x" } },
    { connection: { log_min_messages: "debug5" } }]) {
    const sql = connect(options);
    await sql`select 1`.then(() => say("connected", options), (told) => say("not connected", options, fields(told)));
    await sql.end();
  }
}

run(async () => {
  const [sql, other] = [connect(), connect()];
  await sql`select 1`;
  say("at start", sql.seen.parameters);
  for (const step of [results, errors, notices, copies, cursors, parameters, cancels, notifications]) {
    say(`--- ${step.name} ---`);
    await step(sql, other);
  }
  await Promise.all([sql.end(), other.end()]);
  await connects();
});
