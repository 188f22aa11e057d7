-- What psql shows of results, errors, notices, COPY, notifications and reported parameters.
\set ECHO all
\set QUIET on
\set VERBOSITY verbose
\set SHOW_CONTEXT always
\getenv label DIFF_LABEL

-- Who and what answers.
\echo :SERVER_VERSION_NAME :ENCODING :USER :DBNAME
select current_user, session_user, current_database(), version();
select ssl from pg_stat_ssl where pid = pg_backend_pid();

-- Results: types, nulls, several at once, none at all, many, wide.
\pset null '(null)'
select 1 as int, 'text' as text, null::int as nothing, array[1, 2] as list, '{"a": 1}'::jsonb as json, '\xdead'::bytea;
select 1 as one, now() as "when", 'x'::char(5), 1.50::numeric(6, 2), null \gdesc
select 1 as a \; select 2 as b \; select 'three' as c;
select;
select from generate_series(1, 3);
create temp table t (id int primary key, name text not null check (name <> 'bad'), amount numeric(6, 2));
insert into t values (1, 'one', 1.1), (2, 'zwölf Boxkämpfer', 22.2) returning *;
update t set amount = amount + 1;
\echo :ROW_COUNT
select * from t order by id \gx
select id, name, amount from t \crosstabview
select md5(string_agg(repeat('x', n), ',')) from generate_series(1, 2000) as n;
select repeat('wide ', 50000) as wide;
\set FETCH_COUNT 7
select n, n * n as square from generate_series(1, 30) as n;
select 10 / (25 - n) as late_error from generate_series(1, 30) as n;
\unset FETCH_COUNT
\d t
\dt pg_catalog.pg_am

-- Errors with all their fields.
select 1 / 0;
\errverbose
select nothing from items where id = 1;
selekt 1;
insert into t values (1, 'again', 0);
\echo :SQLSTATE :LAST_ERROR_SQLSTATE :LAST_ERROR_MESSAGE :ERROR
insert into t values (3, null, 0);
insert into t values (3, 'bad', 0);
insert into t values (3, 'big', 123456);
insert into items values (1, 'refused');
drop table items;
select 'a'::int, '2020-13-01'::date;
do $$ begin raise exception 'made by hand' using detail = 'a detail', hint = 'a hint', errcode = 'ZZ001',
  column = 'c', constraint = 'k', datatype = 'd', table = 't', schema = 's'; end $$;
\errverbose
begin;
select 1 / 0;
select 'not now';
rollback;
begin isolation level serializable read only;
create temp table never (i int);
insert into t values (9, 'no', 0);
commit;
savepoint outside;
commit;

-- Notices at every level that a client may see.
set client_min_messages = debug1;
do $$ begin raise debug 'a debug message'; raise log 'a log message'; raise info 'an info';
  raise notice 'a notice' using detail = 'its detail', hint = 'its hint'; raise warning 'a warning %', 7; end $$;
reset client_min_messages;
drop table if exists missing;
create temp table if not exists t (i int);

-- COPY: out, in, in error, csv, of a query.
copy t to stdout;
copy (select n, 'line ' || n from generate_series(1, 5) as n) to stdout with (format csv, header);
copy t (id, name) from stdin;
10	ten
11	\N
\.
copy t (id, name) from stdin;
12	twelve
13	thirteen
\.
copy t (id, name) from stdin with (format csv);
twenty,x
\.
copy t from stdin;
14	fourteen	1	too many
\.
\copy (select * from t order by id) to stdout
copy t to program 'true';
select count(*) from t;

-- Notifications.
listen :label;
notify :label, 'to myself';
select 'after the notification';
begin;
notify :label;
notify :label, 'ünï';
rollback;
begin;
notify :label, 'committed';
commit;
unlisten *;
notify :label, 'unheard';

-- Reported parameters.
show client_encoding;
set client_encoding = 'LATIN1';
\echo :ENCODING
select 'ä', length('ä');
set client_encoding = 'UTF8';
\encoding SQL_ASCII
\echo :ENCODING
\encoding UTF8
\encoding KLINGON
set datestyle = 'German, DMY';
select '2020-02-03'::date;
set timezone = 'Asia/Kathmandu';
select '2020-02-03 04:05:06+00'::timestamptz;
set intervalstyle = 'iso_8601';
select '1 day 2 hours'::interval;
set application_name = 'changed';
show application_name;
set standard_conforming_strings = off;
select 'back\\slash';
reset all;
show application_name;
set no.such = 'custom';
show no.such;
set nothing = 1;
set session authorization postgres;

-- Prepared statements, cursors, portals.
prepare p (int, text) as select $1 + 1, $2 || '!';
execute p (1, 'x');
execute p ('x', 1);
deallocate p;
execute p (1, 'x');
begin;
declare c scroll cursor for select n from generate_series(1, 10) as n;
fetch 3 from c;
fetch backward 1 from c;
move last in c;
fetch absolute 5 from c;
close c;
fetch 1 from c;
rollback;

-- Large objects: libpq calls functions of the server for them.
begin;
\lo_import diff_psql.sql 'a comment'
select lo_get(:LASTOID, 0, 10), obj_description(:LASTOID, 'pg_largeobject');
\lo_export :LASTOID /dev/null
\lo_unlink :LASTOID
\lo_export :LASTOID /dev/null
rollback;
\lo_unlink 4294967290

-- Timeouts and cancels by the server.
set statement_timeout = 50;
select pg_sleep(30);
reset statement_timeout;
\timing off
select pg_cancel_backend(pg_backend_pid());
\echo the last line of diff_psql.sql
select pg_terminate_backend(pg_backend_pid());
\echo never
