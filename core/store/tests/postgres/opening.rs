//! Migrating, opening and examining.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::time::Duration;

use fastn_domain::catalog::ResourceKind;
use fastn_domain::ids::AccountId;
use fastn_domain::time::Timestamp;
use fastn_store::{
    CatalogFeed, Expect, FeedOptions, MigrateOptions, Outcome, PostgresOptions, PostgresStore, ResourceWrite, Store,
    StoreError, StoreErrorKind, examine, migrate,
};
use sqlx::Executor as _;

use crate::server::Database;

async fn refusal(options: PostgresOptions) -> StoreError {
    match PostgresStore::open(options).await {
        Ok(_) => panic!("it should have been refused"),
        Err(error) => error,
    }
}

fn advice(findings: &[fastn_store::Finding]) -> String {
    findings
        .iter()
        .filter(|finding| !finding.ok)
        .map(|finding| format!("{}: {}\n", finding.what, finding.advice))
        .collect()
}

/// Property: migrations run twice at once and again change nothing more, and the roles can serve then.
#[tokio::test(flavor = "multi_thread")]
async fn migrating_is_safe_to_repeat() {
    let database = Database::empty().await;
    assert!(advice(&examine(&database.options()).await).contains("fastn migrate"));
    assert_eq!(refusal(database.options()).await.kind, StoreErrorKind::Database);
    let (owner, options) = (database.owner(), MigrateOptions::default());
    let (one, two) = tokio::join!(migrate(&owner, &options), migrate(&owner, &options));
    assert_eq!(one.unwrap().to, two.unwrap().to);
    let again = migrate(&owner, &options).await.unwrap();
    assert_eq!(again.from, Some(again.to));
    assert_eq!(advice(&examine(&database.options()).await), "");
    database.store().await.changes(0, 1).await.unwrap();
}

/// Property: a schema of a newer program is neither served nor migrated, and doctor says so.
#[tokio::test]
async fn a_newer_schema_is_refused() {
    let database = Database::new().await;
    let mut superuser = database.superuser().await;
    let newer =
        "INSERT INTO _sqlx_migrations SELECT 9999, 'newer', now(), TRUE, checksum, 0 FROM _sqlx_migrations LIMIT 1";
    superuser.execute(newer).await.unwrap();
    assert_eq!(refusal(database.options()).await.kind, StoreErrorKind::SchemaNewer);
    let migrated = migrate(&database.owner(), &MigrateOptions::default()).await;
    assert_eq!(migrated.expect_err("refused").kind, StoreErrorKind::SchemaNewer);
    assert!(advice(&examine(&database.options()).await).contains("newer program"));
}

/// Property: a role that row-level security does not bind is refused, in either place, and doctor says so.
#[tokio::test]
async fn roles_that_can_bypass_are_refused() {
    let database = Database::new().await;
    for role in ["postgres", "fastn_test_owner"] {
        let serving = PostgresOptions::new(database.url(role));
        let projecting = PostgresOptions::new(database.url("fastn_app")).with_projector(database.url(role));
        for options in [serving, projecting] {
            let error = refusal(options.clone()).await;
            assert!(error.message.contains(role) && error.kind == StoreErrorKind::Database, "{error}");
            assert!(advice(&examine(&options).await).contains("owns nothing"), "{role}");
        }
    }
    let same = MigrateOptions { application_role: "fastn_test_owner".to_owned(), ..MigrateOptions::default() };
    assert!(migrate(&database.owner(), &same).await.is_err());
}

/// Property: a server that is away is unavailable, not done, and named without its password; a store can be opened without
/// it. A refused role is told from it.
#[tokio::test]
async fn a_server_that_is_away_is_told() {
    let mut options = PostgresOptions::new("postgres://fastn_app:hush@127.0.0.1:9/fastn");
    options.acquire_timeout = Duration::from_millis(300);
    let error = refusal(options.clone()).await;
    assert_eq!((error.kind, error.outcome), (StoreErrorKind::Unavailable, Outcome::NotDone));
    assert!(!format!("{error} {error:?} {options:?}").contains("hush"));
    let findings = examine(&options).await;
    assert!(advice(&findings).contains("can't be reached") && !advice(&findings).contains("hush"), "{findings:?}");
    options.start_without_server = true;
    let store = PostgresStore::open(options).await.unwrap();
    assert_eq!(store.changes(0, 1).await.expect_err("away").kind, StoreErrorKind::Unavailable);
    assert_eq!(store.prune(Timestamp(0), 1).await.expect_err("no projector").kind, StoreErrorKind::Database);

    let database = Database::empty().await;
    let nobody = PostgresOptions::new(database.url("fastn_nobody_at_all"));
    assert!(advice(&examine(&nobody).await).contains("refused the role"));
    assert!(advice(&examine(&PostgresOptions::new("sqlite:x")).await).contains("correct the URL"));
}

/// Property: a node that knew the configuration once starts with it while PostgreSQL is away; one that never did, or whose
/// file was changed, does not. The file is its owner's only.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_starts_from_what_it_last_knew() {
    let database = Database::new().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("configuration");
    let feed = || FeedOptions { last_known: Some(file.clone()), ..FeedOptions::default() };
    let mut away = PostgresOptions::new("postgres://fastn_app:hush@127.0.0.1:9/fastn");
    away.acquire_timeout = Duration::from_millis(200);
    away.start_without_server = true;
    let away: Arc<dyn Store> = Arc::new(PostgresStore::open(away).await.unwrap());
    assert_eq!(
        CatalogFeed::start(away.clone(), feed()).await.expect_err("nothing known").kind,
        StoreErrorKind::Unavailable
    );

    let store: Arc<dyn Store> = Arc::new(database.store().await);
    let (catalog, following) = CatalogFeed::start(store.clone(), feed()).await.unwrap();
    let write = ResourceWrite {
        kind: ResourceKind::Account,
        customer: None,
        id: "a".to_owned(),
        body: Some("{}".to_owned()),
        expect: Expect::New,
    };
    let revision = store.write(&AccountId::new("a").unwrap(), vec![write]).await.unwrap()[0].revision;
    assert!(following.reached(revision, Duration::from_secs(20)).await);
    let known = catalog.borrow().revision;
    let written = async {
        while !std::fs::read_to_string(&file).is_ok_and(|text| text.contains(r#""id":"a""#)) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), written).await.expect("it is written");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);

    let (catalog, _following) = CatalogFeed::start(away.clone(), feed()).await.unwrap();
    assert_eq!(catalog.borrow().revision, known);
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace(r#""id":"a""#, r#""id":"b""#)).unwrap();
    assert!(CatalogFeed::start(away, feed()).await.is_err(), "a changed file counts as none");
}
