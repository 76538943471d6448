select count(*), sum(amount), min(placed), max(placed) from orders;
select * from totals order by sum desc, name limit 5;
with recursive tree (n, path) as (
  select 1, '1' union all select n + 1, path || '.' || n + 1 from tree where n < 8
) select * from tree;
select city, row_number() over (partition by city order by id) from customers where id <= 3 order by id;
select null, true, 1.50::numeric, 'é'::text, '\x00ff'::bytea, array[1, null, 3], row(1, 'x'), '{"a": [1]}'::jsonb;
select 1 \; select 2 \; select 3;
select generate_series(1, 3) as "column with ""quotes""";
values (1, 'one'), (2, 'two');
table customers limit 2;
insert into customers values (901, 'temporary') returning *;
update customers set city = upper(city) where id = 901 returning city;
delete from customers where id = 901 returning id;
merge into customers c using (values (1, 'first'), (902, 'new')) as v (id, name) on c.id = v.id
  when matched then update set name = v.name when not matched then insert (id, name) values (v.id, v.name);
delete from customers where id = 902;
