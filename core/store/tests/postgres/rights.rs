//! What raw SQL can do in the roles that serve: nothing beyond what its transaction is bound to.

use std::sync::Arc;

use fastn_contract::activity::ExecutionStatus;
use fastn_domain::catalog::ResourceKind;
use fastn_domain::scope::Reach;
use fastn_store::{Expect, MasterKey, RememberedAnswer, ResourceWrite, Store as _, Vault};
use fastn_testkit::store_suite::{batch, end, event, execution, scope};
use sqlx::{AssertSqlSafe, Executor as _, PgConnection, Row as _};

use crate::server::Database;

/// Tables that hold nothing of a customer.
const NOBODYS: [&str; 4] = ["_sqlx_migrations", "feed", "marks", "projected"];

async fn filled() -> Database {
    let database = Database::new().await;
    let store = database.store().await;
    let own = scope("a", "c");
    let write = ResourceWrite {
        kind: ResourceKind::Secret,
        customer: Some(own.customer.clone()),
        id: "c/KEY".to_owned(),
        body: Some("{}".to_owned()),
        expect: Expect::New,
    };
    store.write(&own.account, vec![write]).await.unwrap();
    let mut rows = batch(0, 1);
    rows.events = vec![event(&own, 1)];
    let mut failed = execution(&own, 1);
    failed.state = end(ExecutionStatus::Failed, 1);
    rows.executions = vec![failed, execution(&own, 2)];
    store.project(rows).await.unwrap();
    let answer = RememberedAnswer { fingerprint: "f".to_owned(), status: 201, body: "{}".to_owned() };
    store.remember(&Reach::Customer(own), "k", answer).await.unwrap();
    store.close().await;
    database
}

async fn tables(session: &mut PgConnection) -> Vec<String> {
    let rows = session
        .fetch_all(
            "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
             WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') ORDER BY 1",
        )
        .await
        .unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

/// Rows of a table, or nothing if it may not be read at all.
async fn count(session: &mut PgConnection, table: &str) -> Option<i64> {
    let text = AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
    sqlx::query_scalar(text).fetch_one(session).await.ok()
}

async fn bind(session: &mut PgConnection, role: &str, account: &str, customer: &str) {
    sqlx::query(
        "SELECT set_config('app.role', $1, false), set_config('app.account_id', $2, false), \
         set_config('app.tenant_id', $3, false)",
    )
    .bind(role)
    .bind(account)
    .bind(customer)
    .execute(session)
    .await
    .unwrap();
}

/// Property: every table but the migrations' own has forced row-level security, partitions too.
#[tokio::test]
async fn every_table_is_locked() {
    let database = filled().await;
    let mut superuser = database.superuser().await;
    let open = superuser
        .fetch_all(
            "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'public' \
             AND c.relkind IN ('r', 'p') AND NOT (c.relrowsecurity AND c.relforcerowsecurity)",
        )
        .await
        .unwrap();
    let open: Vec<String> = open.iter().map(|row| row.get(0)).collect();
    assert_eq!(open, ["_sqlx_migrations"]);
}

/// Property: without a tenant, and with a wrong one, raw SQL of neither serving role of the application shows a row.
#[tokio::test]
async fn raw_sql_shows_a_stranger_nothing() {
    let database = filled().await;
    let mut superuser = database.superuser().await;
    let tables = tables(&mut superuser).await;
    let mut held = 0;
    let mut session = database.session("fastn_app").await;
    for (role, account, customer) in [
        ("", "", ""),
        ("", "a", "c"),
        ("account", "", ""),
        ("account", "b", ""),
        ("customer", "b", "c"),
        ("customer", "a", "d"),
        ("customer", "", "c"),
        ("keeper", "a", "c"),
    ] {
        bind(&mut session, role, account, customer).await;
        for table in tables.iter().filter(|table| !NOBODYS.contains(&table.as_str())) {
            let shown = count(&mut session, table).await.unwrap_or(0);
            assert_eq!(shown, 0, "{table} as {role:?} of {account:?}/{customer:?}");
            held += count(&mut superuser, table).await.unwrap_or(0);
        }
    }
    assert!(held > 0, "there was something to see");
    bind(&mut session, "customer", "a", "c").await;
    for table in ["resources", "idempotency", "events", "executions", "dead_letters"] {
        assert!(count(&mut session, table).await.unwrap() > 0, "{table} shows its owner something");
    }
    // The feed's right reaches no further than configuration.
    bind(&mut session, "node", "", "").await;
    assert_eq!(count(&mut session, "resources").await, Some(1));
    for table in ["idempotency", "events", "executions", "dead_letters"] {
        assert_eq!(count(&mut session, table).await, Some(0), "{table}");
    }
}

/// Property: a role that serves can't write a foreign row, change what binds it, or become somebody else.
#[tokio::test]
async fn raw_sql_changes_nothing_foreign() {
    let database = filled().await;
    let mut session = database.session("fastn_app").await;
    bind(&mut session, "account", "b", "").await;
    let foreign = "INSERT INTO resources VALUES ('workflow', 'a', NULL, 'w', 99, 1, 0, 0, FALSE, '{}')";
    let refused = [
        foreign,
        "INSERT INTO resource_changes VALUES (99, 'workflow', 'a', NULL, 'w', 1, 0, FALSE, '{}')",
        "INSERT INTO idempotency VALUES ('a', 'c', 'k2', 'f', 200, '', 0)",
        "DELETE FROM resources",
        "DELETE FROM events",
        "INSERT INTO events (seq, account, customer, id, received, status, kind, source, origin, time) \
         VALUES (9, 'b', 'c', 'e', 0, 'delivered', 'k', 's', 'api', 0)",
        "UPDATE executions SET output = 'x'",
        "SELECT data FROM events_default",
        "TRUNCATE events",
        "SET ROLE fastn_test_owner",
        "SET ROLE fastn_projector",
        "SET SESSION AUTHORIZATION postgres",
        "ALTER TABLE resources DISABLE ROW LEVEL SECURITY",
        "ALTER ROLE fastn_app BYPASSRLS",
        "DROP POLICY fastn_read ON resources",
        "CREATE TABLE mine (x INT)",
        "SELECT drop_day('events', 0)",
        "SELECT reset_activity()",
        "SELECT grant_rights('fastn_app', 'fastn_app')",
    ];
    for text in refused {
        assert!(session.execute(text).await.is_err(), "{text}");
    }
    session.execute("SET row_security = off").await.unwrap();
    assert!(session.fetch_all("SELECT * FROM resources").await.is_err(), "it can't be switched off");
    session.execute("SET row_security = on").await.unwrap();
    let changed = session.execute("UPDATE resources SET body = 'x'").await.unwrap();
    assert_eq!(changed.rows_affected(), 0);

    let mut projector = database.session("fastn_projector").await;
    for text in [
        "SELECT body FROM resources",
        "SELECT data FROM events",
        "SELECT input FROM executions",
        "SELECT * FROM idempotency",
        "DELETE FROM events",
        "SET ROLE fastn_app",
        "SELECT grant_rights('fastn_projector', 'fastn_projector')",
    ] {
        assert!(projector.execute(text).await.is_err(), "{text}");
    }
}

/// Property: what is sealed before it is stored is nowhere in the database in the clear.
#[tokio::test]
async fn no_table_holds_a_plain_secret() {
    const PLAIN: &str = "hunter2-in-the-clear";
    let database = filled().await;
    let store: Arc<dyn fastn_store::Store> = Arc::new(database.store().await);
    let own = scope("a", "c");
    let vault = Vault::new(&MasterKey::from_base64("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", "test").unwrap());
    let sealed = vault.seal(&own.account, Some(&own.customer), "KEY", 1, PLAIN).unwrap();
    let write = ResourceWrite {
        kind: ResourceKind::Secret,
        customer: Some(own.customer.clone()),
        id: "c/OTHER".to_owned(),
        body: Some(serde_json::to_string(&sealed).unwrap()),
        expect: Expect::New,
    };
    store.write(&own.account, vec![write]).await.unwrap();
    let mut superuser = database.superuser().await;
    let mut rows = 0;
    for table in tables(&mut superuser).await {
        let text = AssertSqlSafe(format!("SELECT t::TEXT FROM {table} t"));
        let texts: Vec<String> = sqlx::query_scalar(text).fetch_all(&mut superuser).await.unwrap();
        rows += texts.len();
        assert!(texts.iter().all(|text| !text.contains(PLAIN)), "{table}");
    }
    assert!(rows > 10, "the tables were read");
}
