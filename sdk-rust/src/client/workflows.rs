//! Workflows, their versions and deployments, and what they read.

use fastn_contract::command::{DeployVersion, PublishVersion};
use fastn_contract::resource::{
    CapturedToken, Deployment, EnvConfig, SecretView, SecretWrite, Stored, VersionView, Workflow,
};
use reqwest::Method;

use super::Fastn;
use crate::error::Error;
use crate::page::Pager;

impl Fastn {
    /// Workflows.
    pub fn workflows(&self) -> Pager<Stored<Workflow>> {
        self.list(&["v1", "workflows"])
    }

    /// Creates or changes a workflow's settings.
    pub async fn put_workflow(&self, workflow: &Workflow) -> Result<Stored<Workflow>, Error> {
        self.put(&["v1", "workflows", &workflow.id], workflow).await
    }

    /// Publishes code as the workflow's next version; the same code again returns the version that is there.
    pub async fn publish(&self, workflow: &str, version: &PublishVersion) -> Result<VersionView, Error> {
        self.post(&["v1", "workflows", workflow, "versions"], version).await
    }

    /// One version with its source.
    pub async fn version(&self, workflow: &str, version: u32) -> Result<VersionView, Error> {
        self.get(&["v1", "workflows", workflow, "versions", &version.to_string()]).await
    }

    /// Deploys a version to an environment.
    pub async fn deploy(&self, workflow: &str, environment: &str, version: u32) -> Result<Stored<Deployment>, Error> {
        self.put(&["v1", "workflows", workflow, "deployments", environment], &DeployVersion { version }).await
    }

    /// Secrets, without values.
    pub fn secrets(&self) -> Pager<SecretView> {
        self.list(&["v1", "secrets"])
    }

    /// The token that a provider's handshake stored within the last hour, of the account or of one customer.
    pub async fn captured_token(&self, name: &str, customer: Option<&str>) -> Result<CapturedToken, Error> {
        let call = self.call(Method::GET, &["v1", "secrets", name, "captured-token"])?.query("customer", customer);
        self.transport.decode(call).await
    }

    /// Writes a secret's next version.
    pub async fn put_secret(&self, secret: &SecretWrite) -> Result<SecretView, Error> {
        self.put(&["v1", "secrets", &secret.name], secret).await
    }

    /// Deletes a secret of the account, or of one customer.
    pub async fn delete_secret(&self, name: &str, customer: Option<&str>) -> Result<(), Error> {
        let call = self.call(Method::DELETE, &["v1", "secrets", name])?.query("customer", customer);
        self.transport.bytes(call).await.map(drop)
    }

    /// Sets a configuration value.
    pub async fn put_env_config(&self, config: &EnvConfig) -> Result<Stored<EnvConfig>, Error> {
        self.put(&["v1", "env-configs", &config.environment, &config.key], config).await
    }

    /// One workflow.
    pub async fn workflow(&self, id: &str) -> Result<Stored<Workflow>, Error> {
        self.get(&["v1", "workflows", id]).await
    }

    /// Deletes a workflow. Its executions stay.
    pub async fn delete_workflow(&self, id: &str) -> Result<(), Error> {
        self.delete(&["v1", "workflows", id]).await
    }

    /// The versions of a workflow.
    pub fn versions(&self, workflow: &str) -> Pager<VersionView> {
        self.list(&["v1", "workflows", workflow, "versions"])
    }

    /// The deployments of a workflow, one for each environment.
    pub fn deployments(&self, workflow: &str) -> Pager<Stored<Deployment>> {
        self.list(&["v1", "workflows", workflow, "deployments"])
    }

    /// Configuration values.
    pub fn env_configs(&self) -> Pager<Stored<EnvConfig>> {
        self.list(&["v1", "env-configs"])
    }

    /// Deletes a configuration value.
    pub async fn delete_env_config(&self, environment: &str, key: &str) -> Result<(), Error> {
        self.delete(&["v1", "env-configs", environment, key]).await
    }
}
