//! The examples do what they say.

#[allow(dead_code, reason = "here it is no program")]
#[path = "../examples/group_chat.rs"]
mod group_chat;
#[allow(dead_code, reason = "here it is no program")]
#[path = "../examples/sensor_room.rs"]
mod sensor_room;

#[tokio::test]
async fn a_group_talks() {
    let told = group_chat::conversation().await.unwrap();
    assert_eq!(
        told,
        [
            "Ann: Is there tea?",
            "Bob: There is cofee",
            "Bob: Tea is for the weak!",
            "Ann removes that",
            "Eve comes late, and finds 2 messages",
            "Eve: Do I smell coffee?",
            "Bob has to leave: tea only",
            "Ann: More tea for us",
            "Eve has what Ann has: true",
        ]
    );
}

#[tokio::test]
async fn a_room_is_watched() {
    let told = sensor_room::watch().await.unwrap();
    assert_eq!(
        told,
        [
            "the guard reads 83.5 °C",
            "1 alarm",
            "reset: {\"temperature\":60}",
            "0 alarms",
        ]
    );
}
