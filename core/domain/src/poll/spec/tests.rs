use serde_json::json;

use super::*;

fn compile(body: Value) -> Result<Poll, Vec<FieldError>> {
    Poll::compile(&serde_json::from_value(body).unwrap())
}

fn with(more: Value) -> Value {
    let mut body = json!({"entity": "contact", "request": {"url": "https://api.example.com/contacts"}, "key": "id"});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

fn url(url: &str) -> Value {
    json!({ "url": url })
}

/// Property: every bad part is named with its own path, all in one answer.
#[test]
fn complains_about_every_part() {
    let errors = compile(json!({
        "entity": "fastn", "key": "a..b", "records": ".x",
        "request": {"url": "ftp://x", "method": "DELETE", "headers": {"a": "{{b}}"}},
        "paging": {"mode": "cursor", "path": ""}, "incremental": {"path": ""},
        "compare": {"what": "fields", "fields": []}, "interval": {"minSeconds": 1, "maxSeconds": 100_000},
    }))
    .unwrap_err();
    let mut paths: Vec<_> = errors.iter().map(|error| error.path.strip_prefix("source.").unwrap()).collect();
    paths.dedup();
    assert_eq!(
        paths,
        [
            "entity",
            "interval.minSeconds",
            "interval.maxSeconds",
            "compare.fields",
            "paging.path",
            "incremental.path",
            "request.method",
            "request.url",
            "request.headers.a",
            "request",
            "records",
            "key"
        ]
    );
    assert!(compile(with(json!({}))).is_ok());
    for bad in [
        json!({"entity": ""}),
        json!({"entity": "a b"}),
        json!({"entity": "fastn.x"}),
        json!({"key": ""}),
        json!({"request": url("https://")}),
        json!({"request": url("https://{{cursor}}.example.com/"), "incremental": {"path": "at"}}),
        json!({"request": url("https://a/{{page}}")}),
        json!({"request": url("https://a/{{cursor}}")}),
        json!({"paging": {"mode": "page"}}),
        json!({"incremental": {"path": "at"}}),
        json!({"request": {"url": "https://a/", "method": "POST", "body": {"x": ["{{nothing}}"]}}}),
        json!({"request": url("https://a/{{page}}"), "paging": {"mode": "page", "step": 0}}),
        json!({"interval": {"minSeconds": 60, "maxSeconds": 59}}),
    ] {
        assert!(compile(with(bad.clone())).is_err(), "{bad}");
    }
}

/// Property: each way of paging goes on as long as the source says that there is more, and no longer.
#[test]
fn pages_follow_each_other() {
    let page = |more: Value| compile(with(more)).unwrap();
    let none = page(json!({}));
    assert_eq!(none.next_page("", &json!([1]), 1, Some("<x>; rel=next")), NextPage::End);
    let numbers =
        page(json!({"request": url("https://a/?p={{page}}"), "paging": {"mode": "page", "first": 0, "step": 50}}));
    assert_eq!(numbers.first_page(), "0");
    assert_eq!(numbers.next_page("50", &json!([]), 3, None), NextPage::Page("100".to_owned()));
    assert_eq!(numbers.next_page("50", &json!([]), 0, None), NextPage::End);
    let cursor =
        page(json!({"request": url("https://a/?p={{page}}"), "paging": {"mode": "cursor", "path": "next.after"}}));
    assert_eq!(cursor.first_page(), "");
    assert_eq!(cursor.next_page("", &json!({"next": {"after": 7}}), 0, None), NextPage::Page("7".to_owned()));
    for end in [json!({}), json!({"next": {"after": ""}}), json!({"next": {"after": null}})] {
        assert_eq!(cursor.next_page("7", &end, 9, None), NextPage::End);
    }
    let header = page(json!({"paging": {"mode": "link"}}));
    assert_eq!(header.next_page("", &json!([]), 1, Some("</b>; rel=next")), NextPage::Link("/b".to_owned()));
    assert_eq!(header.next_page("", &json!([]), 1, None), NextPage::End);
    let body = page(json!({"paging": {"mode": "link", "path": "next"}}));
    assert_eq!(body.next_page("", &json!({"next": "/c"}), 1, None), NextPage::Link("/c".to_owned()));
    assert_eq!(body.next_page("", &json!({"next": null}), 1, Some("</b>; rel=next")), NextPage::End);
}

/// Property: the cursor is the greatest of the records' values, as numbers or instants where they are, or the answer's last.
#[test]
fn the_cursor_is_the_greatest() {
    let request = url("https://a/?since={{cursor}}");
    let records = compile(with(json!({"request": request, "incremental": {"path": "at", "start": "5"}}))).unwrap();
    let mut greatest = Greatest(records.first_cursor());
    records.follow(&mut greatest, &json!({}), &[json!({"at": 10}), json!({"at": 9}), json!({}), json!({"at": null})]);
    assert_eq!(greatest.0, "10");
    let mut instants = Greatest("2026-01-01T12:00:00Z".to_owned());
    records.follow(&mut instants, &json!({}), &[json!({"at": "2026-01-01T13:30:00+02:00"})]);
    assert_eq!(instants.0, "2026-01-01T12:00:00Z", "11:30 in UTC");
    let mut texts = Greatest(String::new());
    records.follow(&mut texts, &json!({}), &[json!({"at": "b"}), json!({"at": "a"})]);
    assert_eq!(texts.0, "b");
    let answer = compile(with(json!({"request": request, "incremental": {"path": "sync", "of": "answer"}}))).unwrap();
    let mut token = Greatest("z".to_owned());
    answer.follow(&mut token, &json!({"sync": "a"}), &[]);
    answer.follow(&mut token, &json!({"sync": null}), &[]);
    assert_eq!(token.0, "a");
}

/// Property: a record's key is a text or a number of a fitting length, and nothing else.
#[test]
fn keys_are_texts_or_numbers() {
    let poll = compile(with(json!({"records": "data"}))).unwrap();
    let key = |id: Value| poll.key(&json!({ "id": id }));
    assert_eq!(key(json!("a")).as_deref(), Some("a"));
    assert_eq!(key(json!(7)).as_deref(), Some("7"));
    for bad in [json!(""), json!(null), json!(true), json!([1]), json!("x".repeat(KEY_BYTES_MAX + 1))] {
        assert_eq!(key(bad), None);
    }
    assert!(poll.records(&json!({"data": {}})).is_none() && poll.records(&json!([])).is_none());
}

/// Property: another way to sign in or to page keeps a snapshot; another list or comparison makes it void.
#[test]
fn the_shape_is_what_is_listed_and_compared() {
    let shape = |more: Value| compile(with(more)).unwrap().shape;
    let own = shape(json!({}));
    assert_eq!(own, shape(json!({"interval": {"minSeconds": 7}, "detectDeletes": false})));
    let signed = json!({"url": "https://api.example.com/contacts", "headers": {"a": "{{secret.A}}"}});
    assert_eq!(own, shape(json!({"request": signed, "paging": {"mode": "link"}})));
    for other in [
        json!({"key": "uid"}),
        json!({"entity": "deal"}),
        json!({"compare": {"what": "except", "fields": ["seen"]}}),
        json!({"request": url("https://api.example.com/deals")}),
    ] {
        assert_ne!(own, shape(other));
    }
}
