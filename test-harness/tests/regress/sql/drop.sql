drop view totals;
drop table orders, customers;
