drop table if exists not_there;
do $$ begin raise warning 'w'; raise info 'i'; raise notice 'n'; end $$;
create table if not exists customers (id int);
set client_min_messages = warning;
drop table if exists not_there;
reset client_min_messages;
rollback;
