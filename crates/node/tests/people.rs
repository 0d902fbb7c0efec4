//! Whose tokens a node takes, and whom it shows its metrics.

use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use byline_core::identity::{Key, encode_bytes};
use byline_node::{Config, FileError, OperatorToken, People, Server};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use crate::support::issuer::{Folder, Issuer, unix_seconds};
use crate::support::{Client, Node, config, http, metric, node_with, value};

/// A node that trusts `keys`, and where it reads them.
fn node_of(folder: &Folder, keys: &str) -> Node {
    let mut people = People::new(folder.write("keys", keys));
    people.issuer = Some("https://id.example.com/realm".to_owned());
    node_with(of(people))
}

fn of(people: People) -> Config {
    let mut config = config();
    config.people = Some(people);
    config.ping_every = Duration::from_secs(3_600);
    config
}

/// Opens a session of a runtime that nobody else has with `token`, and gives the answer.
fn opens(node: &Node, token: &str) -> Value {
    static OPENED: AtomicU8 = AtomicU8::new(1);
    let number = OPENED.fetch_add(1, Ordering::Relaxed);
    let (runtime, key) = (
        format!("hyperty-runtime://localhost/r{number}"),
        Key::from_bytes(&[number; 32]),
    );
    Client::connect(node).opens_as(&runtime, &key, token)
}

#[track_caller]
fn assert_refused(node: &Node, token: &str, rule: &str) {
    let before = metric(node, "byline_refusals_total{code=\"401\"}");
    let body = &opens(node, token)["body"];
    assert_eq!(body["code"], 401, "{rule}: {body}");
    assert_eq!(body["reason"], "needs-auth", "{rule}: {body}");
    let desc = body["desc"].as_str().unwrap();
    assert!(desc.contains(rule), "{rule}: {desc}");
    let after = metric(node, "byline_refusals_total{code=\"401\"}");
    assert_eq!(after - before, 1, "{rule}");
}

#[track_caller]
fn assert_let_in(node: &Node, token: &str, identity: &str) {
    let body = &opens(node, token)["body"];
    assert_eq!(body["code"], 200, "{body}");
    assert_eq!(body["identity"], identity);
}

#[test]
fn a_token_that_breaks_a_rule_is_refused_by_its_rule_and_counted() {
    let (folder, issuer) = (Folder::new(), Issuer::of(Algorithm::RS256));
    let mut people = People::new(folder.write("keys", &issuer.public_pem()));
    people.issuer = Some("https://id.example.com/realm".to_owned());
    people.audience = Some("byline".to_owned());
    let node = node_with(of(people));
    let now = unix_seconds();
    let good = json!({"iss": "https://id.example.com/realm", "aud": ["other", "byline"], "sub": "ana",
        "exp": now + 3_600, "nbf": now - 1});
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        claims
    };
    for (claims, rule) in [
        (with("exp", json!(now - 1)), "ended at"),
        (with("exp", Value::Null), "`exp`"),
        (with("exp", json!(-5)), "`exp`"),
        (with("exp", json!("tomorrow")), "claims"),
        (with("nbf", json!(now + 600)), "`nbf`"),
        (with("iss", json!("https://id.example.com/other")), "`iss`"),
        (with("iss", Value::Null), "`iss`"),
        (with("aud", json!("other")), "`aud`"),
        (with("aud", Value::Null), "`aud`"),
        (with("sub", Value::Null), "`sub`"),
        (with("sub", json!("a\nb")), "`sub`"),
    ] {
        assert_refused(&node, &issuer.signs(&claims), rule);
    }
    assert_refused(
        &node,
        &Issuer::of(Algorithm::RS256).signs(&good),
        "has signed it",
    );
    assert_refused(&node, &Issuer::of(Algorithm::ES256).signs(&good), "`alg`");
    // A signature of other claims.
    let (own, other) = (
        issuer.signs(&good),
        issuer.signs(&with("sub", json!("ben"))),
    );
    let [head, _, _] = parts(&own);
    let [_, claims, _] = parts(&other);
    let [_, _, signature] = parts(&own);
    let forged = [head, claims, signature].join(".");
    assert_refused(&node, &forged, "has signed it");
    // `alg: none`, and what everybody knows as if it were a secret.
    let none = encode_bytes(br#"{"alg":"none","typ":"JWT"}"#);
    let unsigned = format!("{none}.{}.", parts(&own)[1]);
    assert_refused(&node, &unsigned, "no signed JSON Web Token");
    let pem = issuer.public_pem();
    for secret in [
        pem.as_bytes(),
        pem.trim().as_bytes(),
        issuer.keys.public_key_raw(),
    ] {
        let secret = EncodingKey::from_secret(secret);
        let confused = encode(&Header::new(Algorithm::HS256), &good, &secret).unwrap();
        assert_refused(&node, &confused, "`alg`");
    }
    let mut critical = Header::new(Algorithm::RS256);
    critical.crit = Some(vec!["b64".to_owned()]);
    let key = EncodingKey::from_rsa_pem(issuer.keys.serialize_pem().as_bytes()).unwrap();
    assert_refused(&node, &encode(&critical, &good, &key).unwrap(), "`crit`");
    assert_let_in(&node, &issuer.signs(&good), "user://id.example.com/ana");
}

fn parts(token: &str) -> [&str; 3] {
    let parts: Vec<&str> = token.split('.').collect();
    parts.try_into().unwrap()
}

#[test]
fn every_kind_of_public_key_is_taken_in_pem_and_as_a_set() {
    let kinds = [
        Algorithm::EdDSA,
        Algorithm::ES256,
        Algorithm::ES384,
        Algorithm::RS256,
    ];
    let issuers: Vec<Issuer> = kinds.into_iter().map(Issuer::of).collect();
    let pem: String = issuers.iter().map(Issuer::public_pem).collect();
    let folder = Folder::new();
    let node = node_of(&folder, &pem);
    for issuer in &issuers {
        assert_let_in(&node, &issuer.token("ana"), "user://id.example.com/ana");
    }
    let set = |ids: [&str; 4]| {
        let keys: Vec<Value> = std::iter::zip(&issuers, kinds)
            .zip(ids)
            .map(|((issuer, kind), id)| jwk(issuer, kind, id))
            .collect();
        json!({ "keys": keys }).to_string()
    };
    let node = node_of(&folder, &set(["a", "b", "c", "d"]));
    for (issuer, id) in std::iter::zip(&issuers, ["a", "b", "c", "d"]) {
        let claims = json!({"iss": "https://id.example.com/realm", "sub": "ana",
            "exp": unix_seconds() + 60});
        let token = |kid| issuer.signs_as(kid, &claims);
        assert_let_in(&node, &token(Some(id)), "user://id.example.com/ana");
        assert_let_in(&node, &token(None), "user://id.example.com/ana");
        assert_refused(&node, &token(Some("e")), "`kid`");
    }
}

/// The key of `issuer` in a set, as identity providers publish it.
fn jwk(issuer: &Issuer, kind: Algorithm, id: &str) -> Value {
    let pem = issuer.keys.serialize_pem();
    let key = match kind {
        Algorithm::RS256 => EncodingKey::from_rsa_pem(pem.as_bytes()),
        _ => EncodingKey::from_ec_pem(pem.as_bytes()),
    };
    let mut jwk = match key {
        _ if kind == Algorithm::EdDSA => {
            json!({"kty": "OKP", "crv": "Ed25519", "x": encode_bytes(issuer.keys.public_key_raw())})
        }
        key => json!(Jwk::from_encoding_key(&key.unwrap(), kind).unwrap()),
    };
    (jwk["kid"], jwk["use"]) = (json!(id), json!("sig"));
    jwk
}

#[test]
fn an_issuer_that_is_no_url_leaves_people_to_the_nodes_domain() {
    let (folder, issuer) = (Folder::new(), Issuer::new());
    let node = node_with(of(People::new(folder.write("keys", &issuer.public_pem()))));
    for (iss, identity) in [
        (Value::Null, "user://localhost/ana"),
        (json!("the bakery"), "user://localhost/ana"),
        (
            json!("https://ID.Example.com:8443/x"),
            "user://id.example.com/ana",
        ),
    ] {
        let claims = json!({"iss": iss, "sub": "ana", "exp": unix_seconds() + 60});
        assert_let_in(&node, &issuer.signs(&claims), identity);
    }
}

#[test]
fn a_key_that_is_swapped_ends_no_session_and_lets_no_other_in() {
    let (folder, old, new) = (Folder::new(), Issuer::new(), Issuer::new());
    let node = node_of(&folder, &old.public_pem());
    let runtime = "hyperty-runtime://localhost/ana";
    let key = Key::from_bytes(&[1; 32]);
    let mut ana = Client::connect(&node);
    let opened = ana.opens_as(runtime, &key, &old.token_for("ana", 90));
    assert_eq!(opened["body"]["code"], 200, "{opened}");
    folder.write("keys", &new.public_pem());
    assert_let_in(&node, &old.token("ben"), "user://id.example.com/ben");
    node.reloads().unwrap();
    assert_refused(&node, &old.token("ben"), "has signed it");
    assert_let_in(&node, &new.token("ben"), "user://id.example.com/ben");
    node.passes(Duration::from_secs(60));
    ana.pings(runtime);
    // A file that cannot be used changes nothing.
    folder.write("keys", "-----BEGIN PRIVATE KEY-----\n");
    let error = node.reloads().unwrap_err();
    assert!(matches!(&error, FileError::Content { .. }), "{error}");
    assert!(error.to_string().contains("only public keys"), "{error}");
    assert_let_in(&node, &new.token("ben"), "user://id.example.com/ben");
    // Its token ends when it says.
    node.passes(Duration::from_secs(30));
    let told = ana.message();
    assert_eq!(told["body"]["method"], "needs-auth", "{told}");
    let token = opened["body"]["runtimeToken"].as_str().unwrap();
    let from = format!("{runtime}/{token}");
    let answer = ana.ask(
        "re-open",
        &from,
        "mn:/session",
        &json!({"token": old.token("ana")}),
    );
    assert_eq!(answer["body"]["code"], 401, "{answer}");
    let answer = ana.ask(
        "re-open",
        &from,
        "mn:/session",
        &json!({"token": new.token("ana")}),
    );
    assert_eq!(answer["body"]["code"], 200, "{answer}");
    node.passes(Duration::from_secs(31));
    ana.pings(runtime);
}

#[test]
fn a_file_that_holds_no_public_keys_is_refused_with_what_is_wrong() {
    let folder = Folder::new();
    let secret = r#"{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}"#;
    let private = Issuer::new().keys.serialize_pem();
    for (keys, why) in [
        ("", "no public key"),
        ("{}", "JSON Web Key Set"),
        (secret, "shared secret"),
        (&private, "only public keys"),
        (
            "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
            "neither RSA",
        ),
    ] {
        let people = People::new(folder.write("keys", keys));
        let error = Server::bind(of(people)).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
        assert!(!error.contains('\n'), "{error}");
    }
    let error = Server::bind(of(People::new(folder.path("nowhere")))).unwrap_err();
    assert!(error.to_string().starts_with("cannot read "), "{error}");
}

#[test]
fn a_node_that_others_reach_asks_who_they_are_or_does_not_start() {
    let (folder, issuer) = (Folder::new(), Issuer::new());
    let mut config = Config::new("0.0.0.0:0".parse().unwrap(), "localhost");
    let refused = Server::bind(config.clone()).unwrap_err().to_string();
    assert!(refused.contains("--jwt-keys"), "{refused}");
    assert!(!refused.contains('\n'), "{refused}");
    config.people = Some(People::new(folder.write("keys", &issuer.public_pem())));
    assert!(Server::bind(config).is_ok());
}

#[test]
fn metrics_are_for_the_operator_and_health_for_everybody() {
    let mut config = config();
    config.operator_token = Some(OperatorToken::from("a secret".to_owned()));
    assert!(!format!("{config:?}").contains("secret"));
    let server = Server::bind(config).unwrap();
    let node = server.spawn().unwrap();
    let ask = |path: &str, more: &str| {
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{more}\r\n");
        http(node.local_addr(), &request)
    };
    for more in [
        "",
        "Authorization: Bearer a secreT\r\n",
        "Authorization: Bearer a secre\r\n",
        "Authorization: Bearer a secret!\r\n",
        "Authorization: Basic a secret\r\n",
    ] {
        let answer = ask("/metrics", more);
        assert!(answer.starts_with("HTTP/1.1 401 "), "{more}: {answer}");
        assert!(
            answer.to_lowercase().contains("www-authenticate: bearer"),
            "{answer}"
        );
    }
    let page = ask("/metrics", "Authorization: Bearer a secret\r\n");
    assert_eq!(value(&page, "byline_connections"), 0);
    assert!(ask("/healthz", "").starts_with("HTTP/1.1 200 "));
    node.stop().unwrap();
}
