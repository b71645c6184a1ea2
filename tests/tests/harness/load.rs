//! Load, and that its accounts are right.

use sluice_e2e::load::Load;
use sluice_e2e::ports::Port;

use crate::SHORT;
use crate::tiny_gateway::{Behaviour, tiny_gateway};

#[tokio::test]
async fn load_accounts_for_each_call_in_its_own_column() {
    use Behaviour::{Ack, Chunked, Echo, Half, Hang, Page, Refuse, Swap};
    const CALLS: &[Behaviour] = &[
        Echo, Refuse, Hang, Half, Swap, Page, Ack, Echo, Chunked, Echo,
    ];
    let address = tiny_gateway(CALLS).await;
    let load = Load::on([address], "demo", "echo")
        .tasks(1)
        .limit(SHORT)
        .max_calls(10);
    let report = load.check(|args, result| args == result).run().await;

    assert!(report.is_balanced(), "{report}");
    assert_eq!((report.sent, report.ok), (10, 4), "{report}");
    assert_eq!(report.failed.get("no_workers"), Some(&1), "{report}");
    assert_eq!(
        (report.hung, report.not_final, report.lost()),
        (1, 1, 2),
        "{report}"
    );
    assert_eq!(
        (report.cut, report.closed_idle, report.refused),
        (1, 0, 0),
        "{report}"
    );
    assert_eq!((report.wrong, report.unclear), (1, 1), "{report}");
    assert_eq!(report.samples.len(), 2, "{report}");
}

#[tokio::test]
async fn load_tells_a_closed_used_connection_from_a_closed_new_one() {
    let used = tiny_gateway(&[Behaviour::Echo, Behaviour::Close]).await;
    let report = Load::on([used], "demo", "echo")
        .tasks(1)
        .max_calls(6)
        .run()
        .await;
    assert_eq!(
        (report.ok, report.closed_idle, report.cut),
        (3, 3, 0),
        "{report}"
    );
    assert_eq!((report.lost(), report.disconnected()), (0, 3), "{report}");

    let new = tiny_gateway(&[Behaviour::Close]).await;
    let report = Load::on([new], "demo", "echo")
        .tasks(1)
        .max_calls(6)
        .run()
        .await;
    assert_eq!(
        (report.ok, report.closed_idle, report.cut),
        (0, 0, 6),
        "{report}"
    );
}

#[tokio::test]
async fn load_goes_around_a_gateway_that_refuses_and_says_so() {
    let nobody = Port::lease().unwrap();
    let address = tiny_gateway(&[Behaviour::Echo]).await;
    let load = Load::on([nobody.address(), address], "demo", "echo")
        .tasks(2)
        .start();
    load.wait_ok(100).await.unwrap();
    let report = load.stop().await;
    assert_eq!(report.refused, 1, "the task that began there: {report}");
    report.assert_all_ok();
    report.assert_all_answered();
}

#[tokio::test]
async fn load_ends_at_its_time_even_if_nobody_listens() {
    let nobody = Port::lease().unwrap();
    let load = Load::on([nobody.address()], "demo", "echo")
        .tasks(2)
        .max_time(SHORT);
    let report = load.run().await;
    assert!(
        report.sent == 0 && report.refused > 0 && report.is_balanced(),
        "{report}"
    );
}

#[tokio::test]
#[should_panic(expected = "not every call was answered clearly")]
async fn a_lost_call_fails_the_promise() {
    let address = tiny_gateway(&[Behaviour::Echo, Behaviour::Hang]).await;
    let load = Load::on([address], "demo", "echo")
        .tasks(1)
        .limit(SHORT)
        .max_calls(2);
    load.run().await.assert_all_answered();
}
