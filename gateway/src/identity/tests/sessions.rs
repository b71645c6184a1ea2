//! Who is let in, as whom, and until when.

use super::*;

#[test]
fn a_token_names_its_bearer() {
    let mut config = config();
    config.jwt.roles_claim = "realm_access.roles".to_owned();
    config.jwt.device_claim = "https://example.com/device".to_owned();
    let identifier = Identifier::new(&config);
    let token = signed(json!({
        "realm_access": {"roles": ["a", "b"]}, "https://example.com/device": "phone", "sub": 7,
    }));
    let session = admit(&identifier, &token).unwrap();
    assert_eq!(session.identity.user_id.as_deref(), Some("7"));
    assert_eq!(session.identity.device_id.as_deref(), Some("phone"));
    assert_eq!(session.identity.roles, ["a", "b"]);
    assert!(session.is_verified());
    assert_eq!(session.caller.claims.as_ref().unwrap()["aud"], "sluice");
    // The second time it comes from the cache.
    assert!(Arc::ptr_eq(&session, &admit(&identifier, &token).unwrap()));
    let text = signed(json!({"realm_access": {"roles": "x y,z"}}));
    assert_eq!(
        admit(&identifier, &text).unwrap().identity.roles,
        ["x", "y", "z"]
    );
    let anonymous = identifier.identify_now(None).unwrap();
    assert!(!anonymous.is_verified() && !anonymous.identity.is_authenticated());
}

#[tokio::test(start_paused = true)]
async fn a_cached_token_expires() {
    let identifier = Identifier::new(&config());
    let token = signed(json!({"exp": now() + 5}));
    let session = admit(&identifier, &token).unwrap();
    // The leeway counts too.
    let left = session.expires.unwrap().duration_since(Instant::now());
    assert!(
        left > Duration::from_secs(30) && left <= Duration::from_secs(35),
        "{left:?}"
    );
    tokio::time::advance(Duration::from_secs(36)).await;
    let again = admit(&identifier, &token).unwrap();
    // The wall clock has not moved: verified anew, not taken from the cache.
    assert!(!Arc::ptr_eq(&session, &again));
}

#[test]
fn api_keys() {
    let mut config = config();
    config.api_keys.push(crate::config::ApiKey {
        id: "k1".to_owned(),
        hash: cache::hash("sk_right"),
        user_id: "robot".to_owned(),
        roles: vec!["batch".to_owned()],
        limits: Vec::new(),
    });
    let identifier = Identifier::new(&config);
    let admit = |key: &str| identifier.identify_now(Some(&Credential::bearer(key)));
    let session = admit("sk_right").unwrap();
    assert_eq!(session.identity.user_id.as_deref(), Some("robot"));
    assert_eq!(session.identity.roles, ["batch"]);
    assert_eq!(session.caller.api_key.as_deref(), Some("k1"));
    for wrong in ["sk_wrong", "", "sk_righ", &"x".repeat(100_000)] {
        assert_eq!(admit(wrong).unwrap_err().code, ErrorCode::Unauthenticated);
    }
    let unknown = identifier.revoke(Revocation::ApiKey("sk_right".to_owned()));
    assert!(matches!(unknown, Err(RevokeError::UnknownApiKey(_))));
    identifier
        .revoke(Revocation::ApiKey("k1".to_owned()))
        .unwrap();
    assert!(admit("sk_right").unwrap_err().message.contains("revoked"));
}

#[test]
fn revocations_of_users_and_tokens() {
    let identifier = Identifier::new(&config());
    let early = signed(json!({"iat": now() - 10, "jti": "t1"}));
    let undated = signed(json!({"iat": null}));
    let later = signed(json!({"iat": now() + 100, "jti": "t2"}));
    let other = signed(json!({"sub": "bob"}));
    for token in [&early, &undated, &later, &other] {
        admit(&identifier, token).unwrap();
    }
    identifier
        .revoke(Revocation::User("ann".to_owned()))
        .unwrap();
    assert!(admit(&identifier, &early).is_err());
    assert!(admit(&identifier, &undated).is_err());
    admit(&identifier, &later).unwrap();
    admit(&identifier, &other).unwrap();
    identifier
        .revoke(Revocation::Token("t2".to_owned()))
        .unwrap();
    assert!(admit(&identifier, &later).is_err());
}

#[test]
fn revocations_are_bounded() {
    let mut config = config();
    config.identity.max_revocations = 10;
    let identifier = Identifier::new(&config);
    for n in 0..100 {
        identifier
            .revoke(Revocation::Token(format!("t{n}")))
            .unwrap();
    }
    let is_in = |n: usize| admit(&identifier, &signed(json!({"jti": format!("t{n}")}))).is_ok();
    assert!(is_in(89) && !is_in(90) && !is_in(99));
}

#[test]
fn for_whom_a_call_is_made() {
    let claim = |user: &str| Identity {
        user_id: Some(user.to_owned()),
        roles: vec!["root".to_owned()],
        device_id: None,
    };
    let mut config = config();
    let identifier = Identifier::new(&config);
    let ann = admit(&identifier, &signed(json!({}))).unwrap();
    let anonymous = Session::default();
    // A client's own word counts nothing.
    assert_eq!(
        identifier.acting(&ann, claim("bob")),
        Ok(ann.identity.clone())
    );
    assert_eq!(
        identifier.acting(&anonymous, claim("bob")),
        Ok(Identity::anonymous())
    );
    config.identity.override_user_id = false;
    let identifier = Identifier::new(&config);
    let error = identifier.acting(&ann, claim("bob")).unwrap_err();
    assert_eq!(error.code, ErrorCode::PermissionDenied);
    assert_eq!(
        identifier.acting(&ann, claim("ann")),
        Ok(ann.identity.clone())
    );
    config.identity.require_verified_user_id = true;
    config.identity.trust_client_identity = true;
    let identifier = Identifier::new(&config);
    assert_eq!(
        identifier.acting(&anonymous, claim("bob")),
        Ok(claim("bob"))
    );
    let error = identifier
        .acting(&anonymous, Identity::anonymous())
        .unwrap_err();
    assert_eq!(error.code, ErrorCode::Unauthenticated);
}

#[test]
fn renewal_is_for_the_same_user() {
    let identifier = Identifier::new(&config());
    let ann = admit(&identifier, &signed(json!({}))).unwrap();
    let renewed = identifier
        .renew(&ann, &signed(json!({"exp": now() + 9000})))
        .unwrap();
    assert!(renewed.expires > ann.expires);
    assert!(
        identifier
            .renew(&ann, &signed(json!({"sub": "bob"})))
            .is_err()
    );
    assert!(identifier.renew(&ann, "garbage").is_err());
    assert!(
        identifier
            .renew(&Session::default(), &signed(json!({})))
            .is_err()
    );
}
