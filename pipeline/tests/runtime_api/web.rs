//! The part of the web platform that workflows have.

use crate::driver::{Driver, null, response};

fn value(code: &str) -> String {
    let source = format!("export default async function (ctx) {{ {code} }}");
    Driver::new().run(&source, "{}", |_| response(200, "{\"ü\":1}")).output().to_owned()
}

/// Property: URLs and their parameters behave as in browsers, in both directions.
#[test]
fn urls() {
    let code = "const u = new URL('../b?x=1&x=2#h', 'https://u:p@example.com:8443/a/');
        u.searchParams.append('y z', 'ü&'); u.port = '443'; u.hash = '';
        const p = new URLSearchParams({ a: '1 2', b: '+' }); p.set('a', '3'); p.delete('b');
        return [u.href, u.host, u.searchParams.getAll('x'), [...p].length, p.toString(), URL.canParse('nope'), `${u}` === JSON.parse(JSON.stringify(u))]";
    assert_eq!(
        value(code),
        r#"["https://u:p@example.com/b?x=1&x=2&y+z=%C3%BC%26","example.com",["1","2"],1,"a=3",false,true]"#
    );
}

/// Property: text and bytes survive encoding, base64 and cloning; a clone shares nothing.
#[test]
fn text_and_bytes() {
    assert_eq!(value("return new TextDecoder().decode(new TextEncoder().encode('a😀ü'))"), r#""a😀ü""#);
    assert_eq!(
        value("return [btoa('hi'), atob('aGk='), [...new TextEncoder().encode('ü')]]"),
        r#"["aGk=","hi",[195,188]]"#
    );
    let clone = "const a = { d: new Date(5), m: new Map([[1, { x: [1] }]]), s: new Set('ab') }; a.self = a;
        const b = structuredClone(a); b.m.get(1).x.push(2);
        return [b.d.getTime(), a.m.get(1).x.length, b.self === b, [...b.s], b !== a]";
    assert_eq!(value(clone), r#"[5,1,true,["a","b"],true]"#);
}

/// Property: a response gives its body once in each form, clones before it is read, and knows its headers in any case.
#[test]
fn responses() {
    let code = "const r = await fetch('https://a.test'); const c = r.clone();
        const text = await r.text(); let twice; try { await r.json() } catch (e) { twice = e.name }
        return [text, twice, await c.json(), (await (await fetch('https://a.test')).arrayBuffer()).byteLength, r.headers.has('CONTENT-TYPE')]";
    assert_eq!(value(code), r#"["{\"ü\":1}","TypeError",{"ü":1},8,true]"#);
    let binary = Driver::new().run(
        "export default async () => [...(await (await fetch('https://a.test')).bytes())]",
        "{}",
        |_| Ok(r#"{"status":200,"headers":[],"body":"AP8=","bodyBase64":true}"#.into()),
    );
    assert_eq!(binary.output(), "[0,255]");
}

/// Property: dates are UTC whatever the machine's zone, and text without a zone means UTC.
#[test]
fn dates() {
    let code = "const d = new Date(2026, 0, 31, 12); d.setMonth(1);
        return [d.toISOString(), new Date('2026-03-29T02:30:00').toISOString(), new Date('2026-03-29').getHours(), d.getTimezoneOffset(),
            String(new Date(0)), new Date('x').toString(), Date.parse('2026-01-01T00:00:00+02:00'), new Date(new Date(7)).getTime(), new Date('Jan 5 2026 10:00').toISOString(),
            typeof Date(), d instanceof Date, d.constructor === Date]";
    assert_eq!(
        value(code),
        r#"["2026-03-03T12:00:00.000Z","2026-03-29T02:30:00.000Z",0,0,"Thu Jan 01 1970 00:00:00 GMT+0000 (UTC)","Invalid Date",1767218400000,7,"2026-01-05T10:00:00.000Z","string",true,true]"#
    );
}

/// Property: nothing that would leave the sandbox or break a replay is there.
#[test]
fn what_is_not_there() {
    let code = "return ['WeakRef', 'FinalizationRegistry', 'SharedArrayBuffer', 'Atomics', 'performance', 'process', 'navigator', 'XMLHttpRequest', 'native']
        .filter((name) => globalThis[name] !== undefined)";
    assert_eq!(value(code), "[]");
    for code in [
        "eval('1')",
        "new Function('return 1')()",
        "setTimeout(() => {}, 1)",
        "(async () => {}).constructor('return 1')()",
    ] {
        let run = Driver::new().run(&format!("export default async () => {{ {code} }}"), "{}", null);
        assert!(run.error.is_some(), "{code}");
    }
}
