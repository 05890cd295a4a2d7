//! The same lake with its catalog in Postgres.

use ol_testkit::{Lake, PostgresServer};

use crate::common::{Case, entry, rows, text};

#[test]
fn a_catalog_in_postgres_serves_like_the_embedded_one() {
    let mut case = Case::new("pgcatalog");
    let catalog = PostgresServer::shared().create_database("catalog");
    case.lake = Lake::with_catalog(&catalog.url());
    case.database.psql("CREATE TABLE kept (id int PRIMARY KEY, note text); INSERT INTO kept VALUES (1, 'é'), (2, NULL);");
    let (unit, _) = case.discover();
    let document = case.run(0);
    case.compare(&unit, &document).expect_equal();
    case.database.psql("INSERT INTO kept VALUES (3, 'c')");
    let document = case.run(0);
    case.compare(&unit, &document).expect_equal();
    assert_eq!(rows(&case.state(), &case.raw_table("kept")), Some(3));
    assert_eq!(text(entry(&document, &case.raw_table("kept")), "outcome"), "done");
    let tables =
        catalog.psql("SELECT catalog_name, table_namespace, table_name FROM iceberg_tables");
    assert_eq!(tables, format!("ol\t{}\t{}", case.lake.namespace(), case.raw_table("kept")));
}
