// What the Node scripts write their transcripts with: a JSON text a line, whatever the values are.
const fs = require("fs");
const tls = require("tls");

function plain(key, value) {
  if (value && value.type === "Buffer") return `bytes ${Buffer.from(value.data).toString("hex")}`;
  return value === undefined ? null : value;
}

exports.say = (what, ...facts) => fs.writeSync(1, `${JSON.stringify([what, ...facts], plain)}\n`);

// All fields of an error or a notice of the server; null where there is none.
const FIELDS = ["severity", "code", "message", "detail", "hint", "position", "internalPosition", "internalQuery",
  "where", "schema", "table", "column", "dataType", "constraint", "file", "line", "routine"];
const OTHER_NAMES = { internalPosition: "internal_position", internalQuery: "internal_query", schema: "schema_name",
  table: "table_name", column: "column_name", dataType: "data_type", constraint: "constraint_name" };

exports.fields = (told, without = []) => Object.fromEntries(FIELDS.filter((name) => !without.includes(name))
  .map((name) => [name, told[name] ?? told[OTHER_NAMES[name]] ?? null]));

const { PGHOST, PGPORT, PGUSER, PGDATABASE, PGPASSWORD, PGSSLMODE, PGSSLROOTCERT, DIFF_LABEL } = process.env;
exports.LABEL = DIFF_LABEL;

// An address cannot be asked for in TLS (SNI), so the certificate's name is compared here.
const ssl = PGSSLMODE === "disable" ? false : {
  ca: fs.readFileSync(PGSSLROOTCERT), checkServerIdentity: (_, certificate) => tls.checkServerIdentity(PGHOST, certificate) };
exports.place = { host: PGHOST, port: Number(PGPORT), user: PGUSER, database: PGDATABASE, password: PGPASSWORD, ssl };

// Names for process ids, which differ from run to run.
exports.Pids = class {
  names = new Map();
  learn(name, pid) { this.names.set(pid, name); }
  name(pid) { return this.names.get(pid) ?? `unknown process ${pid}`; }
};

exports.run = (main) => main().then(() => exports.say("end"), (error) => {
  console.error(error);
  process.exit(1);
});
