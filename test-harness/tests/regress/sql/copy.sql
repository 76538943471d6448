create table copied (a int, b text);
copy copied from stdin;
1	one
2	\N
3	tab\there
\.
copy copied from stdin (format csv, header);
a,b
4,"four, quoted"
5,
\.
copy copied from stdin;
6	six
not a number	x
\.
copy copied to stdout;
copy (select a, b from copied where a < 3 order by a) to stdout (format csv, header);
copy copied from stdin \; select count(*) from copied;
7	seven
\.
select count(*) from copied;
drop table copied;
