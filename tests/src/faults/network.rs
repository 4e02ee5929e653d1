//! A network namespace with two cables to this machine: one to Kafka, which can be cut, and one to everything else.

use std::process::Command;

use anyhow::{Context, ensure};

/// This machine's end of the cable to Kafka.
pub const KAFKA_HOST: &str = "10.213.77.1";
/// This machine's end of the other cable: the sink and PostgreSQL are there.
pub const HOST: &str = "10.213.77.5";
/// The namespace's end of it: a process in there listens on it.
pub const INSIDE: &str = "10.213.77.6";
const KAFKA_INSIDE: &str = "10.213.77.2";

/// The namespace; dropping it removes it. Needs root.
#[derive(Debug)]
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// Makes it, with both cables plugged in.
    ///
    /// # Errors
    /// This user may not, or the addresses are taken.
    pub fn create() -> anyhow::Result<Self> {
        let namespace = Self { name: format!("fastn{}", std::process::id()) };
        ip(&["netns", "add", &namespace.name]).context("make a network namespace; this needs root")?;
        namespace.exec(&["ip", "link", "set", "lo", "up"])?;
        namespace.cable("fzk", KAFKA_HOST, KAFKA_INSIDE)?;
        namespace.cable("fzh", HOST, INSIDE)?;
        Ok(namespace)
    }

    fn cable(&self, end: &str, host: &str, inside: &str) -> anyhow::Result<()> {
        let (here, there) = (self.end(end, 0), self.end(end, 1));
        ip(&["link", "add", &here, "type", "veth", "peer", "name", &there, "netns", &self.name])?;
        ip(&["addr", "add", &format!("{host}/30"), "dev", &here])?;
        ip(&["link", "set", &here, "up"])?;
        self.exec(&["ip", "addr", "add", &format!("{inside}/30"), "dev", &there])?;
        self.exec(&["ip", "link", "set", &there, "up"])
    }

    /// Names of interfaces have 15 characters at most.
    fn end(&self, cable: &str, side: u8) -> String {
        format!("{cable}{side}{}", self.name.trim_start_matches("fastn"))
    }

    /// What starts a program in the namespace; the program keeps the process number.
    pub fn prefix(&self) -> Vec<String> {
        ["ip", "netns", "exec", &self.name].map(str::to_owned).to_vec()
    }

    fn exec(&self, command: &[&str]) -> anyhow::Result<()> {
        ip(&[&["netns", "exec", &self.name], command].concat())
    }

    /// Cuts the cable to Kafka: packets vanish, and nobody is told.
    ///
    /// # Errors
    /// The system refuses.
    pub fn cut(&self) -> anyhow::Result<()> {
        ip(&["link", "set", &self.end("fzk", 0), "down"])
    }

    /// Plugs it in again.
    ///
    /// # Errors
    /// The system refuses.
    pub fn heal(&self) -> anyhow::Result<()> {
        ip(&["link", "set", &self.end("fzk", 0), "up"])
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // The cables would vanish with the namespace's last process; the next test wants their addresses now.
        for cable in ["fzk", "fzh"] {
            let _gone_already = ip(&["link", "del", &self.end(cable, 0)]);
        }
        let _gone_already = ip(&["netns", "del", &self.name]);
    }
}

fn ip(arguments: &[&str]) -> anyhow::Result<()> {
    let output = Command::new("ip").args(arguments).output().context("run `ip`")?;
    ensure!(output.status.success(), "ip {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr));
    Ok(())
}
