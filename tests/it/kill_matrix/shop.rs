//! The database that is moved while runs are killed: small, and with something for every phase.

use pgconvoy::servers::Cluster;

/// Roles are the cluster's, and made once.
const ROLES: &str = "
    CREATE ROLE shop LOGIN PASSWORD 'of shop';
    CREATE ROLE clerk LOGIN PASSWORD 'of clerk';
    CREATE ROLE readers;
    GRANT readers TO clerk;
";

/// What the shop's owner has made. `orders` has many pages and few rows, so that it travels in two
/// chunks and fast.
const SHOP: &str = "
    CREATE TABLE orders (id bigint PRIMARY KEY, note text);
    INSERT INTO orders SELECT i, repeat(md5(i::text), 60) FROM generate_series(1, 18000) i;
    DELETE FROM orders WHERE id % 9 > 0;
    CREATE INDEX ON orders (md5(note));
    CREATE TABLE lines (id serial PRIMARY KEY, orders_id bigint REFERENCES orders, amount int);
    INSERT INTO lines (orders_id, amount) SELECT i * 9, i - 3 FROM generate_series(1, 300) i;
    ALTER TABLE lines ADD CONSTRAINT positive CHECK (amount > 0) NOT VALID;
    CREATE DOMAIN short AS text CHECK (length(VALUE) < 20);
    CREATE TYPE state AS ENUM ('new', 'old');
    CREATE TABLE customers (id int GENERATED ALWAYS AS IDENTITY, name short NOT NULL UNIQUE,
        state state DEFAULT 'new', stamp int);
    INSERT INTO customers (name, stamp) SELECT 'c' || i, i FROM generate_series(1, 100) i;
    CREATE TABLE log (what text);
    CREATE UNLOGGED TABLE baskets (id int PRIMARY KEY);
    INSERT INTO baskets SELECT generate_series(1, 30);
    CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN NEW.stamp := -1; INSERT INTO public.log VALUES (NEW.name); RETURN NEW; END $$;
    CREATE TRIGGER stamp BEFORE INSERT ON customers FOR EACH ROW EXECUTE FUNCTION stamp();
    CREATE TABLE visits (day date, who text, lines_id int) PARTITION BY RANGE (day);
    CREATE TABLE visits_1 PARTITION OF visits FOR VALUES FROM ('2025-01-01') TO ('2025-06-01');
    CREATE TABLE visits_2 PARTITION OF visits FOR VALUES FROM ('2025-06-01') TO ('2026-01-01');
    INSERT INTO visits SELECT '2025-01-01'::date + i, 'v' || i, i FROM generate_series(1, 300) i;
    CREATE INDEX ON visits (who);
    ALTER TABLE visits_1 ADD FOREIGN KEY (lines_id) REFERENCES lines NOT VALID;
    CREATE TABLE suppliers (id int PRIMARY KEY, name text);
    INSERT INTO suppliers SELECT i, 's' || i FROM generate_series(1, 50) i;
    ALTER TABLE suppliers ENABLE ROW LEVEL SECURITY;
    CREATE POLICY many ON suppliers USING (id > 10);
    CREATE VIEW names AS SELECT name FROM customers;
    CREATE MATERIALIZED VIEW totals AS SELECT orders_id, count(*) FROM lines GROUP BY orders_id;
    CREATE UNIQUE INDEX ON totals (orders_id);
    CREATE SEQUENCE numbers;
    SELECT setval('numbers', 70);
    GRANT SELECT ON orders TO readers WITH GRANT OPTION;
    COMMENT ON TABLE orders IS 'what was ordered';
    SELECT lo_from_bytea(60001, 'one');
    SELECT lo_from_bytea(60002, convert_to(repeat('several pieces ', 20000), 'UTF8'));
    GRANT SELECT ON LARGE OBJECT 60001 TO readers;
";

/// What others have, and what takes a superuser.
const MORE: &str = "
    CREATE SCHEMA back AUTHORIZATION clerk;
    CREATE TABLE back.ledger (id int PRIMARY KEY);
    ALTER TABLE back.ledger OWNER TO clerk;
    INSERT INTO back.ledger SELECT generate_series(1, 100);
    SET ROLE clerk;
    ALTER DEFAULT PRIVILEGES IN SCHEMA back GRANT SELECT ON TABLES TO readers;
    RESET ROLE;
    CREATE PUBLICATION all_orders FOR TABLE orders;
    ALTER PUBLICATION all_orders OWNER TO shop;
";

/// What happens to a shop between two runs.
pub(super) const CHANGES: &str = "
    UPDATE orders SET note = 'changed' WHERE id IN (9, 9000, 17991);
    DELETE FROM orders WHERE id = 17982;
    INSERT INTO orders VALUES (90000, 'new');
    UPDATE customers SET stamp = 77 WHERE id = 7;
    INSERT INTO visits VALUES ('2025-11-30', 'late', 7);
    DELETE FROM back.ledger WHERE id = 50;
    SELECT nextval('numbers');
";

/// Makes the roles of all shops on a cluster.
pub(super) async fn make_roles(cluster: &Cluster) {
    command(cluster, "postgres", ROLES).await;
}

/// Makes a shop in a database of this name.
pub(super) async fn make(cluster: &Cluster, name: &str) {
    command(cluster, "postgres", &format!("CREATE DATABASE {name} OWNER shop")).await;
    let public = "SET search_path = public";
    command(cluster, name, &format!("{public}; SET ROLE shop; {SHOP}; RESET ROLE; {MORE}")).await;
    let settings = format!(
        "REVOKE TEMPORARY ON DATABASE {name} FROM PUBLIC; ALTER DATABASE {name} CONNECTION LIMIT 50;
         ALTER DATABASE {name} SET work_mem = '5MB'"
    );
    command(cluster, name, &settings).await;
}

/// Runs statements in a database as its server's superuser.
pub(super) async fn command(cluster: &Cluster, database: &str, sql: &str) {
    let session = cluster.superuser_session(database).await.unwrap();
    if let Err(error) = session.execute("setting a stage", sql).await {
        panic!("{error}: {sql}");
    }
    session.close().await;
}
