// What node-postgres shows, with its cursors and its COPY streams.
const { Client, Pool } = require("pg");
const Cursor = require("pg-cursor");
const copy = require("pg-copy-streams");
const { pipeline } = require("stream/promises");
const { Readable } = require("stream");
const { LABEL, Pids, fields, place, run, say } = require("./diff_transcript");

const TYPES = `select 1::int2 as a, 2::int4 as b, 3::int8 as c, 4.5::float8 as d, 6.70::numeric(8, 2) as e, true as f,
  'text' as g, '\\xdead'::bytea as h, '2020-02-03 04:05:06.789+02'::timestamptz as i, '1 day 2 hours'::interval as j,
  '{1,null,3}'::int[] as k, '{"a": [1]}'::jsonb as l, null::uuid as m, '10.0.0.0/8'::cidr as n, '(1,2)'::point as o`;

async function error(what, promise) {
  try {
    const result = await promise;
    say(what, "no error", result && result.command, result && result.rows);
  } catch (caught) {
    say(what, caught.constructor.name, fields(caught));
  }
}

function result(what, got) {
  const columns = (got.fields ?? []).map((f) => [f.name, f.dataTypeID, f.dataTypeSize, f.dataTypeModifier, f.format, f.columnID]);
  say(what, got.command, got.rowCount, got.oid, columns, got.rows);
}

// A client that writes down what the server tells of itself.
async function connect(options = {}) {
  const client = new Client({ ...place, ...options });
  client.parameters = {};
  client.connection.on("parameterStatus", ({ parameterName, parameterValue }) => {
    client.parameters[parameterName] = parameterValue;
  });
  client.states = "";
  client.connection.on("readyForQuery", ({ status }) => { client.states += status; });
  client.on("error", (told) => say("client error", fields(told)));
  await client.connect();
  return client;
}

async function results(client) {
  result("types", await client.query(TYPES));
  result("array", await client.query({ text: TYPES, rowMode: "array", values: [] }));
  result("parameters", await client.query("select $1::int + 1 as n, $2::text, $3::int[], $4::bytea",
    [41, "zwölf", [1, null], Buffer.from([0, 255])]));
  result("binary", await client.query({ text: "select $1::int8 as n, 'x' as x", values: [5], binary: true }));
  for (const n of [1, 2]) {
    result("named", await client.query({ name: "mine", text: "select id, name from items where id = $1", values: [n] }));
  }
  const several = await client.query("select 1 as a; select 2 as b, 3 as c; set work_mem = '5MB'; select 'four'");
  several.forEach((one) => result("several", one));
  result("empty", await client.query(""));
  result("no rows", await client.query("select id from items where false"));
  result("made", await client.query("create temp table t (id int primary key, x text check (x <> 'bad'))"));
  result("inserted", await client.query("insert into t select n, 'n' from generate_series(1, 40) as n"));
  result("returning", await client.query("delete from t where id > $1 returning *", [37]));
  for (const size of [10, 100000, 1000000]) {
    const big = "ä".repeat(size);
    const got = await client.query("select $1::text as big, md5($1)", [big]);
    say("large", size, got.rows[0].big === big, got.rows[0].md5);
  }
}

async function errors(client) {
  for (const query of ["select 1 / 0", "selekt", "select nothing from items", "delete from items",
    "insert into t values (1, 'again')", "insert into t values (600, 'bad')", "select 'x'::int",
    `do $$ begin raise exception 'made by hand' using detail = 'a detail', hint = 'a hint', errcode = 'ZZ001',
     column = 'c', constraint = 'k', datatype = 'd', table = 't', schema = 's'; end $$`]) {
    await error("simple", client.query(query));
    await error("extended", client.query({ text: query, values: [], name: "" , queryMode: "extended" }));
  }
  await error("in a series", client.query("select 1; select 1 / 0; select 2"));
  await error("late", client.query("select 1 / ($1 - n) from generate_series(1, 500) as n", [300]));
  await error("too few parameters", client.query("select $1::int, $2::int", [1]));
  for (const query of ["begin", "select 1 / 0", "select 1", "commit"]) await error(query, client.query(query));
  // Sent at once, the driver queues them.
  const queued = ["select 1", "select 1 / 0", "select 2"].map((query) => client.query(query));
  say("queued", (await Promise.allSettled(queued)).map((one) => [one.status, one.value?.rows, one.reason?.code]));
  say("states", client.states);
}

async function notices(client) {
  const seen = [];
  client.on("notice", (notice) => seen.push(fields(notice)));
  await client.query("set client_min_messages = debug1");
  await client.query(`do $$ begin raise debug 'debug'; raise log 'log'; raise info 'info';
    raise notice 'notice' using detail = 'its detail', hint = 'its hint'; raise warning 'warning'; end $$`);
  await client.query("reset client_min_messages");
  await client.query("rollback");
  say("notices", seen);
}

async function copies(client) {
  const lines = (count, text) => Readable.from(Array.from({ length: count }, (_, n) => `${n + 1000}\t${text}\n`));
  const into = async (what, source) => {
    const stream = client.query(copy.from("copy t (id, x) from stdin"));
    try {
      await pipeline(source, stream);
      say(what, stream.rowCount);
    } catch (caught) {
      say(what, fields(caught));
    }
  };
  await into("in", lines(5000, "copied"));
  await into("double", Readable.from(["1\tagain\n"]));
  await into("bad", Readable.from(["x\ty\n"]));
  const out = async (query) => {
    const parts = [];
    for await (const part of client.query(copy.to(query))) parts.push(part);
    return Buffer.concat(parts);
  };
  say("out", await out("copy (select * from t where id < 5 order by id) to stdout"));
  say("binary", await out("copy (select * from t where id < 5 order by id) to stdout (format binary)"));
  const all = await out("copy (select id from t order by id) to stdout");
  say("all", all.length, all.subarray(0, 20), all.subarray(-20));
  await error("no table", out("copy nothing to stdout"));
  await error("fails", out("copy (select 1 / (500 - n) from generate_series(1, 1000) n) to stdout"));
  result("count", await client.query("select count(*) from t"));
}

async function cursors(client) {
  const cursor = client.query(new Cursor("select n, $1::text from generate_series(1, 100) as n", ["x"]));
  say("cursor", await cursor.read(3), (await cursor.read(90)).length, (await cursor.read(90)).length, await cursor.read(1));
  const left = client.query(new Cursor("select n from generate_series(1, 100000) as n"));
  say("left", await left.read(1));
  await left.close();
  const bad = client.query(new Cursor("select 1 / (50 - n) from generate_series(1, 100) as n"));
  say("good so far", (await bad.read(40)).length);
  await error("then bad", bad.read(40));
  result("works", await client.query("select 1"));
}

async function parameters(client) {
  for (const [name, value] of Object.entries({ application_name: "renamed", TimeZone: "Asia/Kathmandu",
    DateStyle: "German", IntervalStyle: "iso_8601", client_encoding: "LATIN1", standard_conforming_strings: "off" })) {
    await client.query(`set ${name} = '${value}'`);
    say(name, client.parameters);
  }
  await client.query("reset all");
  say("reset", client.parameters);
}

async function notifications(client, other) {
  const pids = new Pids();
  for (const [name, one] of [["own", client], ["other", other]]) {
    pids.learn(name, (await one.query("select pg_backend_pid() as pid")).rows[0].pid);
    say("pid", name, pids.name(one.processID));
  }
  await client.query(`listen ${LABEL}`);
  for (const [sender, payload] of [[client, "to myself"], [other, "from another ä"], [other, ""], [other, "x".repeat(7999)]]) {
    const heard = new Promise((resolve) => client.once("notification", resolve));
    await sender.query("select pg_notify($1, $2)", [LABEL, payload]);
    const got = await heard;
    say("notified", pids.name(got.processId), got.channel, got.payload);
  }
}

async function cancels(client, other) {
  const sleeping = error("cancelled", client.query("select pg_sleep(60)"));
  const query = "select count(*)::int as n from pg_stat_activity where pid = $1 and wait_event = 'PgSleep'";
  while ((await other.query(query, [client.processID])).rows[0].n !== 1);
  await other.query("select pg_cancel_backend($1)", [client.processID]);
  await sleeping;
  await client.query("set statement_timeout = 30");
  await error("timeout", client.query("select pg_sleep(60)"));
  await client.query("reset statement_timeout");
}

async function ends(client, other) {
  const end = (one) => new Promise((resolve) => one.once("end", resolve));
  const gone = end(client);
  await error("terminated", client.query("select pg_terminate_backend(pg_backend_pid())"));
  await gone;
  const ended = end(other);
  const pool = new Pool({ ...place, max: 3 });
  await pool.query("select pg_terminate_backend($1)", [other.processID]);
  await ended;
  const answers = await Promise.all(Array.from({ length: 30 }, (_, n) => pool.query("select $1::int as n", [n])));
  say("pool", answers.map((answer) => answer.rows[0].n));
  await pool.end();
}

async function connects() {
  const query = "select current_setting('search_path'), current_setting('application_name') as a, current_setting('work_mem') as w";
  for (const options of [{ application_name: "named" }, { fallback_application_name: "by default" },
    { options: "-c work_mem=6MB -c search_path=pg_catalog" }, { statement_timeout: 12345 }, { client_encoding: "UTF8" }]) {
    const client = await connect(options);
    say("connected", options, (await client.query(query)).rows, client.parameters);
    await client.end();
  }
  for (const options of [{ database: "nothing" }, { options: "-c nothing=1" }, { options: "-c work_mem=x" },
    { options: "-c log_min_messages=debug5" }]) {
    const refused = new Client({ ...place, ...options });
    await refused.connect().then(() => say("connected", options), (told) => say("not connected", options, fields(told)));
  }
}

run(async () => {
  const [client, other] = [await connect(), await connect()];
  say("at start", client.parameters);
  for (const step of [results, errors, notices, copies, cursors, parameters, notifications, cancels, ends]) {
    say(`--- ${step.name} ---`);
    await step(client, other);
  }
  await connects();
});
