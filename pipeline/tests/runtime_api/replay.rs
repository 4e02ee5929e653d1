//! Determinism: a sandbox made again from its results is the sandbox that was.

use fastn_pipeline::runtime::{Job, OpRequest, OpResult, PoolConfig, Start, TurnState};

use crate::driver::{Driver, STARTED_MS, context, null, program};

/// Workflows whose requests depend on order, time, chance and races.
const PROGRAMS: [&str; 5] = [
    "export default async function (ctx) {
        const out = [];
        for (let i = 0; i < 4; i++) {
            const all = await Promise.all([1, 2, 3].map((n) => ctx.step('s' + n, async () => {
                const r = await fetch('https://a.test/' + n + '/' + Math.random() + '/' + Date.now());
                return (await r.json()).v + n;
            })));
            out.push(all, Date.now());
        }
        return out;
    }",
    "export default async function (ctx) {
        const log = [];
        for (let i = 0; i < 5; i++) {
            const winner = await Promise.race([ctx.step('slow', () => ctx.sleep(100 * i).then(() => 'slow')), fetch('https://a.test/' + i).then(() => 'fetch')]);
            log.push(winner, crypto.randomUUID());
            if (winner === 'slow') await ctx.emit({ type: 'slow', at: new Date() });
        }
        return log;
    }",
    "export default async function (ctx) {
        const seen = new Map(), weak = new WeakMap();
        const work = async (n) => {
            await ctx.sleep(n);
            seen.set(n + '-' + seen.size, [...crypto.getRandomValues(new Uint8Array(4))]);
            weak.set({}, n);
            if (seen.size % 3) await fetch('https://a.test/' + [...seen.keys()].join());
        };
        await Promise.allSettled([5, 4, 3, 2, 1].map(work));
        return [...seen];
    }",
    "export default async function (ctx) {
        let n = 0;
        const r = await ctx.step('flaky', async () => {
            n++;
            const v = await (await fetch('https://a.test/' + n)).json();
            if (v.v < 6) throw new Error('again');
            return v;
        }, { retry: { maxAttempts: 9, initialInterval: 10 }, timeout: '1h' });
        const [a, b] = await Promise.all([fastn.state.get('k'), ctx.waitForEvent({ type: 'x' }, { timeout: 5 })]);
        await fastn.state.set('k', { a, b, r: Math.random() });
        return [n, r];
    }",
    "export default async function (ctx) {
        const memo = (async () => (await fetch('https://a.test/token')).json())();
        const parts = await Promise.all(['a', 'b', 'c'].map((name) => ctx.step(name, async () => {
            const token = await memo;
            await fetch('https://a.test/' + name + '/' + JSON.stringify(token));
            return name + Math.random();
        })));
        const first = await Promise.any(parts.map((p, i) => ctx.step(p, () => ctx.sleep(i))).concat(fetch('https://a.test/any').then(() => 'any')));
        return [parts, first];
    }",
];

struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n as u64) as usize
    }
}

fn answer(op: &OpRequest, random: &mut Random, at_ms: i64) -> OpResult {
    let body =
        format!(r#"{{"v":{},"status":200,"headers":[],"body":"{{\"v\":{}}}"}}"#, random.below(9), random.below(9));
    OpResult { key: op.key.clone(), at_ms, outcome: Ok(body) }
}

/// One run with results in an order chosen by the seed, some of them several at a time; gives all requests, the results
/// in their order, and the end.
fn live(driver: &Driver, source: &str, seed: u64) -> (Vec<OpRequest>, Vec<OpResult>, String) {
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let (mut ops, mut open, mut delivered) = (Vec::new(), Vec::new(), Vec::new());
    let mut turn = driver.start(1, &program(source), context("{}"), Vec::new());
    loop {
        ops.extend(turn.ops.iter().cloned());
        open.extend(turn.ops);
        match turn.state {
            TurnState::Waiting => {}
            other => return (ops, delivered, end(other)),
        }
        let count = 1 + random.below(open.len().min(3));
        let results: Vec<_> = (0..count)
            .map(|_| {
                let op = open.swap_remove(random.below(open.len()));
                let at_ms = STARTED_MS + (delivered.len() * 100 + random.below(99)) as i64;
                answer(&op, &mut random, at_ms)
            })
            .collect();
        delivered.extend(results.iter().cloned());
        driver.pool.submit(Job::Resume { slot: 1, results });
        turn = driver.turn();
    }
}

fn end(state: TurnState) -> String {
    match state {
        TurnState::Completed { output, steps } => format!("{output} {}", serde_json::to_string(&steps).unwrap()),
        TurnState::Failed { error, steps } => format!("{error:?} {}", serde_json::to_string(&steps).unwrap()),
        other => panic!("{other:?}"),
    }
}

/// Property: replaying all results, or any first part of them, on another pool asks for the same requests with the same
/// keys and contents in the same order, and ends with the same output and marks.
#[test]
fn a_replay_is_the_first_run() {
    let (first, second) = (Driver::new(), Driver::with(&PoolConfig { threads: 1, ..PoolConfig::default() }));
    for (index, source) in PROGRAMS.iter().enumerate() {
        for seed in 1..40 {
            let (ops, results, ended) = live(&first, source, seed);
            let again = second.start(1, &program(source), context("{}"), results.clone());
            assert_eq!(end(again.state), ended, "program {index}, seed {seed}");

            let part = (seed as usize * 7) % (results.len() + 1);
            let turn = second.start(2, &program(source), context("{}"), results[..part].to_vec());
            if !matches!(turn.state, TurnState::Waiting) {
                continue; // the last results of the first run came after its end
            }
            let mut seen = turn.ops;
            for result in &results[part..] {
                second.pool.submit(Job::Resume { slot: 2, results: vec![result.clone()] });
                let turn = second.turn();
                seen.extend(turn.ops);
                if !matches!(turn.state, TurnState::Waiting) {
                    assert_eq!(end(turn.state), ended, "program {index}, seed {seed}, part {part}");
                    break;
                }
            }
            let answered: Vec<_> = results[..part].iter().map(|r| r.key.as_str()).collect();
            let expected: Vec<_> = ops.iter().filter(|op| !answered.contains(&op.key.as_str())).cloned().collect();
            assert_eq!(seen, expected, "program {index}, seed {seed}, part {part}");
        }
    }
}

/// Property: the clock stands still but for the times of results, and never goes back.
#[test]
fn the_clock_moves_with_results() {
    let source = "export default async function (ctx) {
        const t = [Date.now()]; for (let i = 0; i < 1e4; i++); t.push(new Date().getTime());
        await ctx.sleep(1); t.push(Date.now()); await ctx.sleep(1); t.push(+new Date()); return t.map((x) => x - t[0]);
    }";
    let driver = Driver::new();
    let at = |key: &str, at_ms| OpResult { key: key.into(), at_ms, outcome: Ok("null".into()) };
    let results = vec![at("sleep", STARTED_MS + 50), at("sleep#1", STARTED_MS + 20)];
    let turn = driver.start(1, &program(source), context("{}"), results);
    assert!(end(turn.state).starts_with("[0,0,50,50] "));
}

/// Property: executions with different seeds draw different numbers, the same seed the same; values look uniform.
#[test]
fn chance_comes_from_the_seed() {
    let source = "export default async function () {
        const draws = Array.from({ length: 1000 }, Math.random);
        return [draws.slice(0, 3), crypto.randomUUID(), draws.every((d) => d >= 0 && d < 1), Math.round(draws.reduce((a, b) => a + b) / 100)];
    }";
    let driver = Driver::new();
    let program = program(source);
    let with = |seed: u8| {
        let mut context = context("{}");
        context.seed = [seed; 32];
        driver.run_program(&program, context, null).output().to_owned()
    };
    assert_eq!(with(1), with(1));
    assert_ne!(with(1), with(2));
    assert!(with(3).ends_with(",true,5]"), "{}", with(3));
}

/// Property: many executions interleaved at random on one engine do not see each other.
#[test]
fn interleaved_sandboxes_do_not_mix() {
    let driver = Driver::new();
    let program = program(
        "const mine = [];
        export default async function (ctx) {
            globalThis.leak = (globalThis.leak ?? 0) + 1;
            for (let i = 0; i < 5; i++) { mine.push(ctx.input + i); await ctx.sleep(i); }
            return [mine, globalThis.leak, Object.keys(globalThis)];
        }",
    );
    let mut random = Random(42);
    let mut live: Vec<(u64, String)> = Vec::new();
    for slot in 0..30 {
        let turn = driver.start(slot, &program, context(&(slot * 100).to_string()), Vec::new());
        live.push((slot, turn.ops[0].key.clone()));
    }
    while !live.is_empty() {
        let index = random.below(live.len());
        let (slot, key) = live[index].clone();
        let result = OpResult { key, at_ms: 0, outcome: Ok("null".into()) };
        driver.pool.submit(Job::Resume { slot, results: vec![result] });
        let turn = driver.turn();
        match turn.state {
            TurnState::Waiting => live[index].1 = turn.ops[0].key.clone(),
            TurnState::Completed { output, .. } => {
                let n = slot * 100;
                assert_eq!(output, format!("[[{n},{},{},{},{}],1,[\"leak\"]]", n + 1, n + 2, n + 3, n + 4));
                live.swap_remove(index);
            }
            other => panic!("{other:?}"),
        }
    }
}

/// Property: threads do not disturb each other: many executions on several threads all end with their own result.
#[test]
fn several_threads() {
    let driver = Driver::with(&PoolConfig { threads: 4, sandboxes_max: 1_000, ..PoolConfig::default() });
    let program = program(
        "export default async function (ctx) {
            let sum = 0;
            for (let i = 0; i < 5; i++) sum += (await (await fetch('https://a.test/' + i)).json()) + ctx.input;
            return sum;
        }",
    );
    let slots = 200_u64;
    for slot in 0..slots {
        let start = Start { slot, program: program.clone(), context: context(&slot.to_string()), results: Vec::new() };
        driver.pool.submit(Job::Start(Box::new(start)));
    }
    let mut ended = 0;
    while ended < slots {
        let turn = driver.turn();
        match turn.state {
            TurnState::Waiting => {
                let outcome = Ok(r#"{"status":200,"headers":[],"body":"2"}"#.to_owned());
                let results = vec![OpResult { key: turn.ops[0].key.clone(), at_ms: 0, outcome }];
                driver.pool.submit(Job::Resume { slot: turn.slot, results });
            }
            TurnState::Completed { output, .. } => {
                assert_eq!(output, (10 + 5 * turn.slot).to_string());
                ended += 1;
            }
            other => panic!("{other:?}"),
        }
    }
}
