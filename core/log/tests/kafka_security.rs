//! The Kafka log on a listener with TLS and a password.

#[path = "support/kafka_rig.rs"]
mod kafka_rig;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use fastn_log::{KafkaLog, KafkaOptions, Log, Sasl, Security, Tls, Topic};
use fastn_testkit::services::Services;
use kafka_rig::{append, options, read_all};

/// The broker's key store, and its certificate as our CA file.
fn certificate(dir: &Path) -> (PathBuf, PathBuf) {
    let (store, pem) = (dir.join("broker.p12"), dir.join("broker.pem"));
    let keytool = |arguments: &[&str]| {
        let status = Command::new("keytool").args(arguments).arg("-keystore").arg(&store).args(STORE).output();
        let output = status.expect("keytool comes with Java");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    };
    if !store.exists() {
        let make = ["-genkeypair", "-alias", "broker", "-keyalg", "EC", "-dname", "CN=127.0.0.1", "-validity", "30"];
        keytool(&[&make[..], &["-ext", "SAN=IP:127.0.0.1"]].concat());
    }
    keytool(&["-exportcert", "-rfc", "-alias", "broker", "-file", &pem.to_string_lossy()]);
    (store, pem)
}

const STORE: [&str; 4] = ["-storetype", "PKCS12", "-storepass", "for-tests-only"];

struct Broker {
    services: Services,
    address: String,
    ca: PathBuf,
}

impl Broker {
    fn start() -> Self {
        let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("kafka-security");
        std::fs::create_dir_all(&dir).expect("a directory");
        let (store, ca) = certificate(&dir);
        let services = Services::own(&dir);
        let users = "org.apache.kafka.common.security.plain.PlainLoginModule required user_fastn=\"right\";";
        let settings = [
            "listener.security.protocol.map=PLAIN:PLAINTEXT,CONTROLLER:PLAINTEXT,ALSO:SASL_SSL".to_owned(),
            "sasl.enabled.mechanisms=PLAIN".to_owned(),
            format!("listener.name.also.plain.sasl.jaas.config={users}"),
            format!("ssl.keystore.location={}", store.display()),
            "ssl.keystore.type=PKCS12".to_owned(),
            "ssl.keystore.password=for-tests-only".to_owned(),
            "ssl.key.password=for-tests-only".to_owned(),
        ];
        let mut arguments = vec!["start", "--also", "127.0.0.1"];
        settings.iter().for_each(|setting| arguments.extend(["--set", setting]));
        let plain = services.run("kafka.sh", &arguments);
        let (host, port) = plain.rsplit_once(':').expect("an address");
        // `--also` listens two ports above.
        let address = format!("{host}:{}", port.parse::<u16>().expect("a port") + 2);
        Self { services, address, ca }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.services.run("kafka.sh", &["stop", "--wipe"]);
    }
}

/// Property: with the CA and the password the log works over TLS; with a wrong password, without the CA or without TLS it is
/// refused in words that say which, and no password is in them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_and_password_are_used_and_checked() {
    let broker = Broker::start();
    let with = |password: &str, tls: Option<Tls>| {
        let (mechanism, username) = ("PLAIN".to_owned(), "fastn".to_owned());
        let sasl = Some(Sasl { mechanism, username, password: password.to_owned() });
        let security = Security { tls, sasl };
        KafkaOptions { security, operation_timeout: Duration::from_secs(6), ..options(&broker.address) }
    };
    let trusted = || Some(Tls { ca_file: Some(broker.ca.clone()), ..Tls::default() });
    let log = KafkaLog::open(with("right", trusted())).expect("opens");
    let first = append(&log, Topic::Events, 0, &["over TLS"]).await.first;
    assert_eq!(read_all(&log, Topic::Events, 0, first).await, ["over TLS"]);
    log.close().await.expect("closes");
    for (options, word) in [
        (with("wrong-secret", trusted()), "user or password"),
        (with("right", Some(Tls::default())), "check the CA file"),
        (with("right", None), "no broker"),
    ] {
        let error = KafkaLog::open(options.clone()).expect_err("refused").to_string();
        let findings = KafkaLog::examine(options).await;
        let told = findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        assert!(told.contains(word), "{told}");
        assert!(!told.contains("wrong-secret") && !error.contains("wrong-secret"), "{told} {error}");
    }
}
