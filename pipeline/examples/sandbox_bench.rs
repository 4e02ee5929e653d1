//! What a small workflow costs: CPU time per execution and memory per waiting sandbox. One thread.
//!
//! `cargo run --release -p fastn-pipeline --example sandbox_bench [workflow.ts]`

use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use fastn_pipeline::runtime::{Job, OpResult, Pool, PoolConfig, Program, RunContext, Start, Turn, TurnState, compile};

const EXECUTIONS: u64 = 20_000;
const IN_THE_AIR: u64 = 64;
const WAITING: u64 = 2_000;

const NOTHING: &str = "export default async function (ctx) { return null; }";

const SMALL: &str = "interface In { id: number; items: { name: string; price: number }[] }
export default async function (ctx: { input: In }) {
  const total = ctx.input.items.reduce((sum, item) => sum + item.price, 0);
  const names = ctx.input.items.map((item) => item.name.toUpperCase());
  const r = await fetch('https://api.test/orders', { method: 'POST', headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ id: ctx.input.id, total, names }) });
  const data = await r.json();
  return { ok: r.ok, order: data.id, total };
}";

const STEPS: &str = "export default async function (ctx) {
  const a = await ctx.step('load', () => fetch('https://api.test/a').then((r) => r.json()));
  const b = await ctx.step('save', async () => (await fetch('https://api.test/b', { method: 'POST', body: JSON.stringify(a) })).status);
  fastn.log.info('saved', b);
  return { a, b };
}";

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let config = PoolConfig { threads: 1, sandboxes_max: 100_000, image_bytes_max: 4 << 30, ..PoolConfig::default() };
    let (send, turns) = channel();
    let pool = Pool::start(&config, move |turn| drop(send.send(turn)))?;
    if let Some(file) = std::env::args().nth(1) {
        let program = Arc::new(compile(&std::fs::read_to_string(&file)?, &file)?);
        measure(&pool, &turns, &program, &file)?; // warm
        println!("{}", measure(&pool, &turns, &program, &file)?);
        return Ok(());
    }
    for (name, source) in
        [("nothing", NOTHING), ("transform, fetch, transform", SMALL), ("two steps, a log line", STEPS)]
    {
        let program = Arc::new(compile(source, "flow.ts")?);
        measure(&pool, &turns, &program, name)?; // warm
        println!("{}", measure(&pool, &turns, &program, name)?);
    }
    let program = Arc::new(compile(SMALL, "flow.ts")?);
    let before = resident_kb();
    let mut occupied = 0;
    for slot in 0..WAITING {
        pool.submit(start(slot, &program));
        occupied = turns.recv()?.memory_bytes;
    }
    let each = (resident_kb() - before) as f64 / WAITING as f64;
    println!("waiting: {each:.1} KB resident a sandbox, of {} KB that it occupies while it runs", occupied / 1024);
    Ok(())
}

fn measure(pool: &Pool, turns: &Receiver<Turn>, program: &Arc<Program>, name: &str) -> Result<String, Failure> {
    let (mut cpu_us, mut started, mut ended, mut count) = (0, 0, 0, 0);
    let (wall, cpu) = (Instant::now(), process_cpu_us());
    while started < IN_THE_AIR {
        pool.submit(start(started, program));
        started += 1;
    }
    while ended < EXECUTIONS {
        let turn = turns.recv()?;
        count += 1;
        cpu_us += turn.cpu_us;
        match &turn.state {
            TurnState::Waiting => pool.submit(Job::Resume { slot: turn.slot, results: answers(&turn) }),
            TurnState::Failed { error, .. } => return Err(format!("{error:?}").into()),
            _ => {
                ended += 1;
                if started < EXECUTIONS {
                    pool.submit(start(started, program));
                    started += 1;
                }
            }
        }
    }
    let per = |us: f64| us / EXECUTIONS as f64;
    Ok(format!(
        "{name}: {:.1} µs CPU an execution, {:.1} µs with this driver and waking threads, {:.1} µs wall; {} turns, {} bytes of bytecode",
        per(cpu_us as f64),
        per(process_cpu_us() - cpu),
        per(wall.elapsed().as_secs_f64() * 1e6),
        count / EXECUTIONS,
        program.bytecode_bytes(),
    ))
}

fn answers(turn: &Turn) -> Vec<OpResult> {
    let body = r#"{"status":200,"statusText":"OK","headers":[["content-type","application/json"]],"body":"{\"id\":77}","url":""}"#;
    turn.ops.iter().map(|op| OpResult { key: op.key.clone(), at_ms: 1, outcome: Ok(body.to_owned()) }).collect()
}

fn start(slot: u64, program: &Arc<Program>) -> Job {
    let item = r#"{"name":"a thing with a name","price":12.5,"tags":["x","y"],"note":"something of some length"}"#;
    let input = format!(r#"{{"id":{slot},"items":[{}]}}"#, [item; 10].join(","));
    let object: Arc<str> = r#"{"id":"acme","account":"acc_1"}"#.into();
    let context = RunContext {
        execution_id: format!("exec_{slot}"),
        seed: [1; 32],
        started_at_ms: 0,
        input: input.into(),
        headers: Arc::clone(&object),
        execution: r#"{"attempt":1,"workflow":"w","version":1,"environment":"live","tier":"standard"}"#.into(),
        customer: Arc::clone(&object),
        event: object,
    };
    Job::Start(Box::new(Start { slot, program: Arc::clone(program), context, results: Vec::new() }))
}

fn resident_kb() -> i64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kb| kb.parse().ok()).unwrap_or(0)
}

/// User and system time of this process, from clock ticks of 10 ms.
fn process_cpu_us() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|f| f.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) * 10_000.0
}
