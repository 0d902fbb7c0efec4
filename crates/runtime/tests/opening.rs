//! One object, and several devices of one identity with a store each.

use byline::{Create, Criteria, MemoryNode, Opened, Reason, Runtime, State};
use serde_json::json;

use crate::common::{self, Folder, OBJECT, bounded, node};

/// A device of the identity whose key is in `folder`.
fn device(node: &MemoryNode, folder: &Folder, name: &str) -> Runtime {
    let builder = Runtime::builder().memory(node);
    let builder = builder.key_file(folder.0.join("key"));
    builder.store(folder.0.join(name)).start().unwrap()
}

fn diary() -> Create {
    let create = Create::new("Context", json!({"page": 0}));
    create.at(OBJECT).public().store()
}

#[tokio::test]
async fn a_device_that_follows_another_does_so_again_when_it_starts_and_may_take_the_object() {
    bounded(async {
        let (node, folder) = (node(), Folder::new("opening"));
        let desk = device(&node, &folder, "desk");
        let opened = desk.syncher("diary").unwrap().open(diary()).await;
        let Ok(Opened::Reporter(mine)) = opened else {
            panic!("{opened:?}")
        };
        let phone = device(&node, &folder, "phone");
        let opened = phone.syncher("diary").unwrap().open(diary()).await;
        let Ok(Opened::Observer { observer, reporter }) = opened else {
            panic!("{opened:?}")
        };
        assert_eq!(reporter.rejected().await, None);
        let mut state = observer.state();
        state.wait_for(|state| *state == State::Live).await.unwrap();
        drop((observer, reporter));
        phone.close().await;

        let phone = device(&node, &folder, "phone");
        let syncher = phone.syncher("diary").unwrap();
        let found = syncher.resume(Criteria {
            user: Some(desk.identity()),
            ..Criteria::default()
        });
        assert_eq!((found.reporters.len(), found.observers.len()), (0, 1));
        assert_eq!(found.observers[0].data().unwrap()["page"], 0);
        drop(found);

        let opened = syncher.open(diary().take()).await;
        let Ok(Opened::Reporter(theirs)) = opened else {
            panic!("{opened:?}")
        };
        theirs.update(|data| data["page"] = json!(1)).unwrap();
        theirs.flushed().await.unwrap();
        let found = syncher.resume(Criteria::default());
        assert_eq!((found.reporters.len(), found.observers.len()), (1, 0));

        let mut state = mine.state();
        let closed = state.wait_for(|state| matches!(state, State::Closed(_)));
        match closed.await.as_deref() {
            Ok(State::Closed(refusal)) => assert_eq!(refusal.reason, Some(Reason::Superseded)),
            other => panic!("{other:?}"),
        }
        assert_eq!(mine.rejected().await, None);
        let opened = desk.syncher("diary").unwrap().open(diary()).await;
        let Ok(Opened::Observer { observer, .. }) = opened else {
            panic!("{opened:?}")
        };
        let mut copies = observer.copies();
        while copies.next().await.unwrap().unwrap()["page"] != 1 {}
    })
    .await;
}

#[tokio::test]
async fn an_object_of_somebody_else_opens_as_nothing() {
    let node = node();
    let (ann, bob) = (common::runtime(&node), common::runtime(&node));
    let mine = common::report(&ann, json!({"page": 0})).await;
    let create = Create::new("Context", json!({})).at(OBJECT).take();
    let refused = bob.syncher("diary").unwrap().open(create).await;
    assert!(
        matches!(&refused, Err(byline::OpenError::Refused(refusal)) if refusal.code == 403),
        "{refused:?}"
    );
    drop(mine);
}
