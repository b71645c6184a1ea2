//! What is refused when a resource is built.

use sluice_worker::resource::http::Method;
use sluice_worker::resource::{
    Action, BuildError, Decision, Filter, Negotiate, Pipeline, Resource, SendEntity,
};

#[test]
fn an_allowed_method_needs_its_action() {
    let resource = Resource::graph().allowed_methods([Method::GET, Method::DELETE]);
    assert_eq!(
        resource.build().unwrap_err(),
        BuildError::NoAction(Action::Delete)
    );
}

#[test]
fn constant_decisions_may_not_go_in_circles() {
    let resource = Resource::graph()
        .decide(Decision::Allowed, Decision::Exists)
        .decide(Decision::Processable, Decision::Allowed)
        .decide(Decision::Exists, Decision::Processable);
    assert!(matches!(resource.build(), Err(BuildError::Loop(_))));
}

#[test]
fn media_types_must_be_media_types() {
    for wrong in [
        "json",
        "a/b/c",
        "*/json",
        "text/ht ml",
        "",
        "text/html;x=\"\r\n\"",
    ] {
        let declared = Resource::graph().media_types(vec![wrong.to_owned()]);
        assert!(
            matches!(declared.build(), Err(BuildError::Undeclarable(_))),
            "{wrong:?}"
        );
        let patch = Resource::graph().patch(()).patch_types([wrong]);
        assert!(
            matches!(patch.build(), Err(BuildError::Undeclarable(_))),
            "{wrong:?}"
        );
    }
}

#[test]
fn a_challenge_must_be_a_header_value() {
    let resource = Resource::graph().challenge("Bearer\r\nx: y");
    assert_eq!(resource.build().unwrap_err(), BuildError::Challenge);
}

#[test]
fn a_pipeline_says_nothing_twice() {
    let get = || Pipeline::new().entity("E").get();
    let twice = [
        (get().get(), "GET"),
        (get().entity("F"), "entity"),
        (
            get()
                .filter(Filter::Exists, true)
                .filter(Filter::Exists, false),
            "exists?",
        ),
        (get().delete(()).delete(()), "DELETE"),
    ];
    for (pipeline, what) in twice {
        let error = Resource::pipeline(pipeline).build().unwrap_err();
        let (pipeline, what) = ("start".to_owned(), what.to_owned());
        assert_eq!(error, BuildError::Twice { pipeline, what });
    }
}

#[test]
fn pipelines_have_something_to_serve() {
    let negotiate = Negotiate::new().media_types(["text/html"]);
    let empty = Resource::pipeline(Pipeline::new().negotiate(negotiate));
    assert_eq!(
        empty.build().unwrap_err(),
        BuildError::NoMethods("start".to_owned())
    );
    let without = Resource::pipeline(Pipeline::new().put((), SendEntity::Yes));
    assert!(matches!(without.build(), Err(BuildError::NoEntity { .. })));
    let get = || Pipeline::new().entity("E").get();
    let same = Resource::pipeline(get())
        .branch("a", get())
        .branch("a", get());
    assert_eq!(
        same.build().unwrap_err(),
        BuildError::SameName("a".to_owned())
    );
    let wrong = Negotiate::new().media_types(["json"]);
    let wrong = Resource::pipeline(get().negotiate(wrong));
    assert!(matches!(wrong.build(), Err(BuildError::Undeclarable(_))));
}
