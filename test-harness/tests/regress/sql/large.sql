select length(repeat('x', 5000000));
select md5(string_agg(g::text, ',')) from generate_series(1, 100000) g;
select repeat('wide ', 2000) as wide from generate_series(1, 20);
select g, md5(g::text) from generate_series(1, 2000) g;
