create function add(a int, b int) returns int language sql return a + b;
select add(1, 2);
create function loud(what text) returns text language plpgsql as $body$
begin
  raise notice 'heard: %', what;
  return upper(what);
end $body$;
select loud('hello');
create procedure twice() language plpgsql as $$ begin commit; perform 1; commit; end $$;
call twice();
do $$ begin perform add(1, 2); end $$;
create function fails() returns void language plpgsql as $$ begin raise exception 'no' using errcode = 'P0042', detail = 'why', hint = 'how'; end $$;
select fails();
drop function add, loud, fails;
drop procedure twice;
