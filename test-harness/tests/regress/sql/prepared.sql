prepare by_id (int) as select name from customers where id = $1;
execute by_id (3);
execute by_id (4);
prepare by_id (int) as select 1;
deallocate by_id;
execute by_id (3);
prepare touch as update customers set city = city where id = 1;
execute touch;
deallocate all;
select $1::int + $2::int as sum \bind 3 4 \g
select 'no parameters' \bind \g
select $1::int / $2::int \bind 1 0 \g
discard all;
