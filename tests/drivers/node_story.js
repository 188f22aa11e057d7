// The story with node-postgres.
const assert = require("assert");
const { Client, Pool } = require("pg");
const copy = require("pg-copy-streams");
const { pipeline } = require("stream/promises");
const { Readable } = require("stream");

const place = { host: "127.0.0.1", port: Number(process.env.DBPROXY_PORT), database: "app", user: "app_rw" };

async function story() {
  const client = new Client(place);
  await client.connect();
  assert.strictEqual((await client.query("select current_user")).rows[0].current_user, "app_rw");
  assert.strictEqual((await client.query("select $1::int + 1 as n", [41])).rows[0].n, 42);
  const pid = (await client.query("select pg_backend_pid() as pid")).rows[0].pid;
  assert.strictEqual(client.processID, pid, "the real backend pid reaches the driver");

  await client.query("begin");
  await assert.rejects(client.query("insert into items values (1, 'again')"), { code: "23505" });
  await client.query("rollback");

  await client.query("create temp table t (i int, x text)");
  const rows = Array.from({ length: 10000 }, (_, i) => `${i}\t${"x".repeat(100)}\n`);
  await pipeline(Readable.from(rows), client.query(copy.from("copy t from stdin")));
  let bytes = 0;
  for await (const chunk of client.query(copy.to("copy t to stdout"))) bytes += chunk.length;
  assert.strictEqual(bytes, rows.join("").length);

  const big = "y".repeat(5000000);
  assert.strictEqual((await client.query("select $1::text as big", [big])).rows[0].big, big);

  const heard = new Promise((resolve) => client.on("notification", (message) => resolve(message.payload)));
  await client.query("listen news");
  const other = new Client(place);
  await other.connect();
  await other.query("notify news, 'extra'");
  assert.strictEqual(await heard, "extra");

  const sleeping = client.query("select pg_sleep(60)");
  const cancelled = new Promise((resolve) => setTimeout(resolve, 300))
    .then(() => other.query("select pg_cancel_backend($1)", [pid]));
  await assert.rejects(sleeping, { code: "57014" });
  await cancelled;
  await other.end();
  await client.end();

  const pool = new Pool({ ...place, max: 10 });
  const answers = await Promise.all(Array.from({ length: 200 }, (_, n) => pool.query("select $1::int as n", [n])));
  assert.deepStrictEqual(answers.map((answer) => answer.rows[0].n), Array.from({ length: 200 }, (_, n) => n));
  await pool.end();
  await assert.rejects(new Client({ ...place, user: "stranger" }).connect(), { code: "42501", hint: /You may connect as/ });
  console.log("all steps passed");
}

story().catch((error) => {
  console.error(error);
  process.exit(1);
});
