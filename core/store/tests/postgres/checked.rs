//! The checked queries against the schema as it is.

use std::path::Path;

use serde_json::Value;
use sqlx::{AssertSqlSafe, Column as _, Executor as _, SqlSafeStr as _, Statement as _, TypeInfo as _};

use crate::server::Database;

/// Property: PostgreSQL prepares every query of `.sqlx`, with the parameters and columns that the code was compiled against.
#[tokio::test]
async fn checked_queries_fit_the_schema() {
    let database = Database::new().await;
    let mut session = database.superuser().await;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(".sqlx");
    let mut checked = 0;
    for file in std::fs::read_dir(folder).expect("it is committed") {
        let text = std::fs::read_to_string(file.expect("reads").path()).expect("reads");
        let query: Value = serde_json::from_str(&text).expect("JSON");
        let sql = query["query"].as_str().expect("a text").to_owned();
        let statement = (&mut session).prepare(AssertSqlSafe(sql.clone()).into_sql_str()).await;
        let statement = statement.unwrap_or_else(|error| panic!("{sql}: {error}"));
        let columns: Vec<_> = statement.columns().iter().map(|column| column.name().to_owned()).collect();
        let kept = query["describe"]["columns"].as_array().expect("columns");
        let kept: Vec<_> = kept.iter().map(|column| column["name"].as_str().expect("a name").to_owned()).collect();
        assert_eq!(columns, kept, "{sql}");
        let types: Vec<_> = statement.columns().iter().map(|column| column.type_info().name().to_lowercase()).collect();
        let kept = query["describe"]["columns"].as_array().expect("columns");
        for (found, kept) in types.iter().zip(kept) {
            assert_eq!(Some(found.as_str()), kept["type_info"].as_str().map(str::to_lowercase).as_deref(), "{sql}");
        }
        checked += 1;
    }
    assert!(checked > 20, "{checked} queries");
}
