use super::*;

fn options() -> BreakerOptions {
    BreakerOptions {
        failures: 5,
        failure_percent: 50,
        window: Duration::from_secs(10),
        open: Duration::from_secs(60),
    }
}

/// Plays one call; whether it passed.
fn play(breaker: &Arc<Breaker>, clock: Clock, ok: bool, options: &BreakerOptions) -> bool {
    match breaker.admit(clock) {
        Err(_) => false,
        Ok(Pass::Free) => {
            breaker.record(ok, clock, options);
            true
        }
        Ok(Pass::Probe(probe)) => {
            probe.settle(ok, options);
            true
        }
    }
}

async fn wait(ms: u64) {
    tokio::time::advance(Duration::from_millis(ms)).await;
}

/// `fail`, `ok`, or a wait in milliseconds.
#[derive(Clone, Copy)]
enum Event {
    Fail,
    Ok,
    Wait(u64),
}
use Event::{Fail, Ok as Well, Wait};

#[tokio::test(start_paused = true)]
async fn what_opens_and_what_heals_as_a_table() {
    let rows: [(&str, Vec<Event>, Vec<bool>); 8] = [
        (
            "the fifth failure opens",
            vec![Fail, Fail, Fail, Fail, Fail, Well],
            vec![true, true, true, true, true, false],
        ),
        (
            "four do not",
            vec![Fail, Fail, Fail, Fail, Well],
            vec![true; 5],
        ),
        (
            "more than half succeed",
            vec![
                Fail, Well, Well, Fail, Well, Fail, Well, Well, Fail, Well, Fail, Well,
            ],
            vec![true; 12],
        ),
        (
            "successes before the first failure do not count",
            vec![
                Well, Well, Well, Well, Well, Well, Fail, Fail, Fail, Fail, Fail, Well,
            ],
            [vec![true; 11], vec![false]].concat(),
        ),
        (
            "failures that are too far apart do not count together",
            vec![Fail, Fail, Fail, Fail, Wait(10_001), Fail, Well],
            vec![true; 6],
        ),
        (
            "one failure after the open time opens it again",
            vec![Fail, Fail, Fail, Fail, Fail, Wait(60_000), Fail, Well],
            vec![true, true, true, true, true, true, false],
        ),
        (
            "one success after the open time closes it",
            vec![Fail, Fail, Fail, Fail, Fail, Wait(60_000), Well, Fail, Well],
            vec![true; 8],
        ),
        (
            "not before",
            vec![Fail, Fail, Fail, Fail, Fail, Wait(59_999), Well],
            vec![true, true, true, true, true, false],
        ),
    ];
    for (name, events, expected) in rows {
        let (breaker, clock) = (Arc::new(Breaker::default()), Clock::start());
        let mut passed = Vec::new();
        for event in events {
            match event {
                Fail => passed.push(play(&breaker, clock, false, &options())),
                Well => passed.push(play(&breaker, clock, true, &options())),
                Wait(ms) => wait(ms).await,
            }
        }
        assert_eq!(passed, expected, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn half_open_lets_exactly_one_probe_pass() {
    let (breaker, clock) = (Arc::new(Breaker::default()), Clock::start());
    for _ in 0..5 {
        play(&breaker, clock, false, &options());
    }
    assert_eq!(breaker.admit(clock).unwrap_err(), 60_000);
    wait(60_000).await;
    assert_eq!(breaker.refuses(clock.now_ms()), None);
    let Pass::Probe(probe) = breaker.admit(clock).unwrap() else {
        panic!("the first call is the probe");
    };
    for _ in 0..3 {
        assert!(breaker.admit(clock).is_err(), "only one at a time");
    }
    // What was sent before it opened says nothing of how it is now.
    breaker.record(true, clock, &options());
    assert!(breaker.admit(clock).is_err());
    // A client that goes away must not leave it half-open for ever.
    drop(probe);
    let Pass::Probe(probe) = breaker.admit(clock).unwrap() else {
        panic!("the next call is the probe");
    };
    probe.settle(true, &options());
    assert!(breaker.is_closed());
}

#[tokio::test(start_paused = true)]
async fn a_reset_stands_whatever_an_old_probe_says() {
    let (breaker, clock) = (Arc::new(Breaker::default()), Clock::start());
    for _ in 0..5 {
        play(&breaker, clock, false, &options());
    }
    wait(60_000).await;
    let Ok(Pass::Probe(probe)) = breaker.admit(clock) else {
        panic!("a probe");
    };
    breaker.reset();
    probe.settle(false, &options());
    assert!(breaker.is_closed());
}

#[tokio::test(start_paused = true)]
async fn zero_failures_switch_it_off() {
    let (breaker, clock) = (Arc::new(Breaker::default()), Clock::start());
    let off = BreakerOptions {
        failures: 0,
        ..options()
    };
    for _ in 0..1000 {
        assert!(play(&breaker, clock, false, &off));
    }
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_outcomes_still_opens_it() {
    let (breaker, clock) = (Arc::new(Breaker::default()), Clock::start());
    play(&breaker, clock, false, &options());
    for _ in 0..100_000 {
        play(&breaker, clock, true, &options());
    }
    let opened = (0..100_000).any(|_| breaker.record(false, clock, &options()));
    assert!(opened, "from some point on more than half have failed");
}

#[test]
fn threads_agree_on_one_probe() {
    let breaker = Arc::new(Breaker::default());
    breaker.swap(0, encode(State::Open { until: 0 })).unwrap();
    let clock = Clock::start();
    let probes: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| breaker.admit(clock).ok()))
            .collect();
        threads
            .into_iter()
            .filter_map(|t| t.join().unwrap())
            .collect()
    });
    assert_eq!(probes.len(), 1);
}

#[test]
fn the_fair_time_is_that_of_slow_answers() {
    let (ms, own) = (Duration::from_millis, Duration::from_secs(5));
    let breaker = Breaker::default();
    assert_eq!(breaker.fair_time(own), ms(2500), "nothing is known");
    breaker.took(Duration::from_micros(300));
    assert_eq!(breaker.fair_time(own), ms(100), "the least");
    breaker.took(ms(200));
    assert_eq!(breaker.fair_time(own), ms(800), "up at once");
    breaker.took(ms(150));
    assert_eq!(breaker.fair_time(own), ms(800));
    breaker.took(ms(10));
    let fair = breaker.fair_time(own);
    assert!(fair < ms(800) && fair > ms(780), "down slowly: {fair:?}");
    for _ in 0..1000 {
        breaker.took(ms(10));
    }
    assert_eq!(breaker.fair_time(own), ms(100));
    breaker.took(Duration::MAX);
    assert_eq!(
        breaker.fair_time(own),
        ms(2500),
        "never above half of its own"
    );
    assert_eq!(breaker.fair_time(ms(150)), ms(75));
}

/// Whatever threads do to each other's breakers, one that is not clean is never missed.
#[test]
fn suspects_are_never_too_few() {
    let suspects = Arc::<Suspects>::default();
    let breaker = || Arc::new(Breaker::among(suspects.clone()));
    let (open, shared) = (breaker(), breaker());
    let (clock, mut options) = (Clock::start(), options());
    options.window = Duration::ZERO;
    assert!(suspects.none());
    open.record(false, clock, &options);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for _ in 0..2000 {
                    shared.record(false, clock, &options);
                    assert!(!suspects.none(), "the one that stays is missed");
                    shared.reset();
                }
            });
        }
    });
    shared.reset();
    assert!(!suspects.none());
    open.reset();
    assert!(suspects.none());
    breaker().record(false, clock, &options);
    assert!(suspects.none(), "it is gone");
}

#[tokio::test(start_paused = true)]
async fn a_probe_leaves_a_suspect_only_if_it_fails() {
    let suspects = Arc::<Suspects>::default();
    let breaker = Arc::new(Breaker::among(suspects.clone()));
    let (clock, mut options) = (Clock::start(), options());
    options.failures = 1;
    for ok in [false, true] {
        breaker.record(false, clock, &options);
        assert!(!suspects.none());
        wait(60_000).await;
        let Ok(Pass::Probe(probe)) = breaker.admit(clock) else {
            panic!("no probe");
        };
        assert!(!suspects.none());
        probe.settle(ok, &options);
        assert_eq!(suspects.none(), ok);
    }
}
