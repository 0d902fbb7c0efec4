//! Who somebody is: a session, an address and a stamp belong to whoever has shown the key.

use byline_core::identity::encode_bytes;
use byline_core::limits::CHALLENGE_MS;
use serde_json::{Value, json};

use crate::world::kitchen::{KITCHEN, code, kitchen};
use crate::world::{Client, DOMAIN, World, of, sm};

#[test]
fn nobody_speaks_as_somebody_else() {
    let (mut world, reporter, reader, _) = kitchen();
    let thief = world.client(3);
    let own = thief.hyperty.clone();
    let to = format!("{KITCHEN}/subscription");
    for from in [
        &reader.hyperty,
        &reader.runtime,
        &reporter.hyperty,
        &KITCHEN.to_owned(),
        &sm(),
    ] {
        let refused = world.asks(&thief, "subscribe", from, &to, json!({}));
        assert_eq!(code(&refused), 403, "{from}");
    }
    for source in [&reader.hyperty, &reader.runtime, &reporter.hyperty] {
        let body = json!({"source": source});
        for kind in ["subscribe", "unsubscribe"] {
            let refused = world.asks(&thief, kind, &own, &to, body.clone());
            assert_eq!(code(&refused), 403, "{source}");
        }
        let claim = json!({"url": "ctxt://localhost/x", "reporter": source});
        let resources = ["ctxt://localhost/x", "ctxt://localhost/x/subscription"];
        let body = json!({"resources": resources, "source": own, "claim": claim});
        let refused = world.asks(&thief, "subscribe", &own, &sm(), body);
        assert_eq!(code(&refused), 403, "{source}");
    }
    assert_eq!(world.node.gauges().routes, 1, "the reader still reads");
    // Nor is anybody first at an address that another's runtime has not used yet.
    let victim = format!("{}/unused", reporter.hyperty.strip_suffix("/h").unwrap());
    let refused = world.asks(&thief, "subscribe", &victim, &to, json!({}));
    assert_eq!(code(&refused), 403, "{refused}");
    assert_eq!(world.counts(&reporter, "subscribe"), 1);
}

#[test]
fn nothing_is_served_before_open() {
    let (mut world, _, _, epoch) = kitchen();
    let stranger = world.stranger(3);
    let claimed = world.claims(&stranger, "ctxt://localhost/x", json!({}));
    assert_eq!(code(&claimed), 401);
    let ping = world.asks(
        &stranger,
        "ping",
        &stranger.runtime.clone(),
        "mn:/session",
        json!({}),
    );
    assert_eq!(code(&ping), 401);
    assert_eq!(code(&world.subscribes_raw(&stranger, KITCHEN)), 401);
    assert_eq!(
        code(&world.commits(&stranger, KITCHEN, (epoch, 1), Value::Null)),
        401
    );
    for text in [
        "",
        "[]",
        "{}",
        "{\"id\":1}",
        "null",
        "\u{0}",
        r#"{"id":{},"type":"x"}"#,
    ] {
        world.says(&stranger, text);
    }
    assert_eq!(world.node.gauges().sessions, 2);
    assert_eq!(
        code(&world.opens(&stranger, "open", &stranger.runtime.clone())),
        200
    );
}

#[test]
fn a_session_opens_with_the_right_signature_only() {
    let mut world = World::new();
    let mut client = world.stranger(1);
    let runtime = client.runtime.clone();
    let (public, nonce) = (client.key.public().to_string(), encode_bytes(&client.nonce));
    let says = |world: &mut World, client: &Client, signature: Option<String>| {
        let mut body = json!({"publicKey": public, "nonce": nonce});
        if let Some(signature) = signature {
            body["signature"] = json!(signature);
        }
        world.asks(client, "open", &client.runtime.clone(), "mn:/session", body)
    };
    let other = world.stranger(2);
    let key = client.key.clone();
    type Sign<'a> = Box<dyn Fn(&str) -> String + 'a>;
    let wrong: [(&str, Sign<'_>); 4] = [
        (
            "another key",
            Box::new(|c| other.key.prove(DOMAIN, &runtime, c)),
        ),
        (
            "another runtime",
            Box::new(|c| key.prove(DOMAIN, &other.runtime, c)),
        ),
        (
            "another domain",
            Box::new(|c| key.prove("example.com", &runtime, c)),
        ),
        ("nonsense", Box::new(|_| "nonsense".to_owned())),
    ];
    for (what, sign) in wrong {
        let challenge = of(&says(&mut world, &client, None), "challenge");
        let refused = says(&mut world, &client, Some(sign(&challenge)));
        assert_eq!(code(&refused), 403, "{what}");
        // The challenge is used up, by whatever answered it.
        let late = client.key.prove(DOMAIN, &client.runtime, &challenge);
        assert_eq!(code(&says(&mut world, &client, Some(late))), 401, "{what}");
    }
    // An expired one, and one of another socket.
    let challenge = of(&says(&mut world, &client, None), "challenge");
    world.passes(CHALLENGE_MS + 1);
    let late = client.key.prove(DOMAIN, &client.runtime, &challenge);
    assert_eq!(code(&says(&mut world, &client, Some(late))), 401);
    let challenge = of(&says(&mut world, &client, None), "challenge");
    let elsewhere = client.at(world.connects());
    let replayed = client.key.prove(DOMAIN, &client.runtime, &challenge);
    assert_eq!(
        code(&says(&mut world, &elsewhere, Some(replayed.clone()))),
        401
    );
    assert_eq!(world.node.gauges().sessions, 0);
    let opened = says(&mut world, &client, Some(replayed.clone()));
    assert_eq!(code(&opened), 200);
    client.token = of(&opened, "runtimeToken");
    // Used once: not for a second session, not for this one again.
    assert_eq!(code(&says(&mut world, &elsewhere, Some(replayed))), 401);
    assert_eq!(code(&says(&mut world, &client, None)), 409);
}

#[test]
fn a_runtime_url_belongs_to_the_key_it_is_minted_from() {
    let mut world = World::new();
    let victim = world.client(1);
    let mut thief = world.stranger(2);
    let own = thief.runtime.clone();
    thief.runtime.clone_from(&victim.runtime);
    // With its own key, with the victim's nonce, without any, and without a key.
    assert_eq!(code(&world.opens(&thief, "open", &victim.runtime)), 403);
    thief.nonce = victim.nonce;
    assert_eq!(code(&world.opens(&thief, "open", &victim.runtime)), 403);
    let bare = json!({"publicKey": thief.key.public().to_string()});
    for body in [json!({}), bare] {
        let refused = world.asks(&thief, "open", &victim.runtime, "mn:/session", body);
        assert_eq!(code(&refused), 403);
    }
    let stolen = format!("{}/{}", victim.runtime, victim.token);
    for body in [json!({}), json!({"nonce": encode_bytes(&victim.nonce)})] {
        let refused = world.asks(&thief, "re-open", &stolen, "mn:/session", body);
        assert_eq!(code(&refused), 403, "a token alone opens nothing");
    }
    // Nor does anybody settle under it.
    let below = format!("{}/sm", victim.runtime);
    let refused = world.asks(&thief, "open", &below, "mn:/session", json!({}));
    assert_eq!(code(&refused), 400, "{refused}");
    for from in [
        "hyperty://localhost/x",
        "kitchen",
        "",
        &own.replace("localhost", ""),
    ] {
        let refused = world.asks(&thief, "open", from, "mn:/session", json!({}));
        assert!(matches!(code(&refused), 400 | 403), "{from}: {refused}");
    }
    let pong = world.asks(&victim, "ping", &victim.runtime, "mn:/session", json!({}));
    assert_eq!(code(&pong), 200, "the victim is still there");
    assert_eq!(world.node.gauges().sessions, 1);
}

#[test]
fn a_minted_object_is_claimed_with_its_nonce_and_key_only() {
    let mut world = World::new();
    let (owner, thief) = (world.client(1), world.client(2));
    let nonce = [9; 16];
    let url = format!("ctxt://{DOMAIN}/{}", owner.key.public().mint(&nonce));
    for (who, with) in [
        (&owner, json!({})),
        (&owner, json!({"nonce": encode_bytes(&[8; 16])})),
        (&owner, json!({"nonce": "short"})),
        (&thief, json!({})),
        (&thief, json!({"nonce": encode_bytes(&nonce)})),
    ] {
        let refused = world.claims(who, &url, with.clone());
        assert_eq!(code(&refused), 403, "{with}");
    }
    let claimed = world.claims(&owner, &url, json!({"nonce": encode_bytes(&nonce)}));
    assert_eq!(code(&claimed), 200);
}

#[test]
fn an_anonymous_session_claims_nothing() {
    let (mut world, reporter, _, _) = kitchen();
    let mut nobody = world.stranger(3);
    nobody.runtime = format!("hyperty-runtime://{DOMAIN}/nobody");
    nobody.hyperty = format!("hyperty://{DOMAIN}/nobody/h");
    let opened = world.asks(&nobody, "open", &nobody.runtime, "mn:/session", json!({}));
    assert_eq!(code(&opened), 200);
    let refused = world.claims(&nobody, "ctxt://localhost/x", json!({}));
    assert_eq!(code(&refused), 403, "{refused}");
    // It may ask, without a name: whatever it says of itself is removed.
    let body = json!({"source": nobody.hyperty, "identity": reporter.identity()});
    let to = format!("{KITCHEN}/subscription");
    world.asks(&nobody, "subscribe", &nobody.hyperty, &to, body);
    let asked = world.frames(&reporter).pop().unwrap();
    assert_eq!(asked["from"], json!(nobody.hyperty));
    assert_eq!(asked["body"]["identity"], Value::Null);
}

#[test]
fn a_forged_identity_is_replaced_by_the_nodes_stamp() {
    let (mut world, reporter, _, _) = kitchen();
    let liar = world.client(3);
    let to = format!("{KITCHEN}/subscription");
    for key in ["identity", "identit\\u0079"] {
        let id = json!(format!("forged {key}"));
        let frame = format!(
            r#"{{"id":{id},"type":"subscribe","from":"{}","to":"{to}","body":{{"{key}":"{}","kept":[1]}}}}"#,
            liar.hyperty,
            reporter.identity()
        );
        world.says(&liar, &frame);
        let asked = world.frames(&reporter).pop().unwrap();
        assert_eq!(asked["body"]["identity"], json!(liar.identity()), "{asked}");
        assert_eq!(asked["body"]["kept"], json!([1]));
    }
}
