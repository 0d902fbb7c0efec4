//! Objects that stay inside one runtime.

use byline::{Create, Runtime};
use serde_json::json;

use crate::common::{Mirror, OBJECT, bounded, observe};

#[tokio::test]
async fn a_local_object_is_followed_where_there_is_no_node() {
    bounded(async {
        // Nobody listens there.
        let runtime = Runtime::builder()
            .node("ws://127.0.0.1:9/ws")
            .start()
            .unwrap();
        let create = Create::new("Context", json!({"n": 0})).at(OBJECT).local();
        let reporter = runtime.syncher("report").unwrap().create(create).unwrap();
        reporter.claimed().await.unwrap();
        let observer = observe(&runtime).await;
        let mut mirror = Mirror::of(&observer);
        for n in 1..=10 {
            reporter.update(|data| data["n"] = json!(n)).unwrap();
        }
        mirror.reach(10).await;
        assert_eq!(mirror.data, json!({"n": 10}));
        let read = runtime.syncher("read").unwrap().read(OBJECT).await.unwrap();
        assert_eq!(read.position, mirror.position);
    })
    .await;
}
