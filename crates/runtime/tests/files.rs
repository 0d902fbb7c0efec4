//! Files in a room: sent by one, fetched by the others.

use byline::{ChildError, Children, Create, FileDescription, Reporter, Runtime};
use serde_json::json;

use crate::common::{OBJECT, bounded, node, observe, runtime};

async fn room(runtime: &Runtime) -> Reporter {
    let create = Create::new("Communication", json!({"topic": "tea"}))
        .at(OBJECT)
        .public()
        .files("files");
    let room = runtime.syncher("report").unwrap().create(create).unwrap();
    room.claimed().await.unwrap();
    room
}

fn content(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|n| (n * n / 7) as u8).collect()
}

#[tokio::test]
async fn what_one_sends_the_others_fetch_whole_and_see_how_far_it_is() {
    bounded(async {
        let node = node();
        let (ann, bob, eve) = (runtime(&node), runtime(&node), runtime(&node));
        let room = room(&ann).await;
        let (bobs, eves) = (observe(&bob).await, observe(&eve).await);
        let (anns, bobs, eves): (Children, Children, Children) = (
            room.children("files"),
            bobs.children("files"),
            eves.children("files"),
        );
        let cat = content(1_000_000);
        let mut sent = bobs.send_file("cat.png", "image/png", cat.clone()).unwrap();
        sent.safe().await.unwrap();
        let id = sent.id().clone();
        let mut changes = eves.changes();
        while eves.child(&id).is_none() {
            changes.next().await.unwrap();
        }
        let described = FileDescription::read(&eves.child(&id).unwrap().value).unwrap();
        assert_eq!((&*described.name, described.size), ("cat.png", 1_000_000));

        let fetch = eves.fetch(&id).unwrap();
        let mut received = fetch.received();
        received.wait_for(|bytes| *bytes > 0).await.unwrap();
        assert!(fetch.content().await.unwrap()[..] == cat);
        assert!(anns.fetch(&id).unwrap().content().await.unwrap()[..] == cat);
        drop(eves.fetch(&id).unwrap());
    })
    .await;
}

#[tokio::test]
async fn what_is_no_file_is_refused_at_once() {
    bounded(async {
        let node = node();
        let ann = runtime(&node);
        let files: Children = room(&ann).await.children("files");
        let refused = files.send_file("../../cat", "image/png", *b"cat");
        assert!(matches!(refused, Err(ChildError::File(_))));
        let mut no_file = files.add(json!({"text": "no file"})).unwrap();
        no_file.safe().await.unwrap();
        let refused = files.fetch(no_file.id());
        assert!(matches!(refused, Err(ChildError::File(_))));
    })
    .await;
}
