-- Tables the other files work on.
create table customers (id int primary key, name text not null, city text default 'Bremen');
create table orders (
  id bigint generated always as identity primary key,
  customer int references customers,
  placed date not null,
  amount numeric(10, 2) check (amount > 0)
);
insert into customers (id, name) select g, 'customer ' || g from generate_series(1, 200) g;
insert into orders (customer, placed, amount)
  select 1 + g % 200, date '2026-01-01' + g % 300, 1 + g % 97 from generate_series(1, 5000) g;
create index on orders (customer);
create view totals as
  select name, count(*) as orders, sum(amount) from customers join orders on customer = customers.id group by name;
analyze customers;
