//! An Instant run that arrives at a node which runs nothing.

use std::time::{Duration, Instant};

use fastn_tests::faults::{Cluster, Plan};
use fastn_tests::server::put_customer;
use serde_json::json;

use super::{ONE_AT_A_TIME, metric, publish, until};

/// Runs of each node.
const RUNS: usize = 5;
/// The limit of an Instant workflow.
const LIMIT: Duration = Duration::from_secs(60);

/// Property: a caller of a node that owns no partition gets the result of its Instant run in the HTTP answer, which the
/// node that ran it sent across; and a caller of a node that the others can't reach gets it from Activity, within the limit.
#[tokio::test(flavor = "multi_thread")]
async fn a_caller_gets_its_result_from_another_node() -> anyhow::Result<()> {
    let _alone = ONE_AT_A_TIME.lock().await;
    let nodes = vec![("edge", "ingest,api"), ("hidden", "ingest,api"), ("work", "pipeline,scheduler,projector")];
    let cluster = Cluster::start(&Plan { unreachable: Some("hidden"), ..Plan::shared(nodes) }).await?;
    let edge = cluster.client_of("edge")?;
    put_customer(&edge, "cus", json!({})).await?;
    publish(&edge, "double", "instant", "export default async function (ctx: any) { return ctx.input.n * 2; }").await?;
    let work = cluster.url("work")?.to_owned();
    for (node, outcome) in [("edge", "sent"), ("hidden", "lost")] {
        let customer = cluster.client_of(node)?.customer("cus");
        let knows = async || Ok(customer.run("double", json!({"n": 0})).await.is_ok());
        until("the node knows the workflow, and the other one runs it", knows).await?;
        let line = format!("fastn_answers_forwarded_total{{outcome=\"{outcome}\"}}");
        let before = metric(&work, &line).await?;
        let mut longest = Duration::ZERO;
        for n in 0..RUNS {
            let began = Instant::now();
            let answer = customer.run("double", json!({"n": n})).await?;
            assert_eq!(answer.output, Some(json!(n * 2)));
            longest = longest.max(began.elapsed());
        }
        assert!(longest < LIMIT, "{node}: {longest:?}");
        let counted = async || Ok(metric(&work, &line).await? - before >= RUNS as f64);
        until(&format!("{RUNS} more answers are counted as {outcome}"), counted).await?;
        println!("{node}: the result of an Instant run after at most {longest:?}");
    }
    Ok(())
}
