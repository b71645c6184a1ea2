//! Tokens that were tampered with, and bytes that are none.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::prelude::*;

use super::*;

fn refused(identifier: &Identifier, token: &str) -> String {
    let error = admit(identifier, token).expect_err(token);
    assert_eq!(error.code, ErrorCode::Unauthenticated, "{token}");
    error.message
}

fn raw(header: Value, claims: &Value, signature: &str) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.{signature}", part(&header), part(claims))
}

#[test]
fn claims_that_do_not_hold() {
    let identifier = Identifier::new(&config());
    for (more, said) in [
        (json!({"exp": now() - 31}), "expired"),
        (json!({"exp": 0}), "expired"),
        (json!({"exp": null}), "no \"exp\""),
        (json!({"exp": "soon"}), "no time"),
        (json!({"exp": -5}), "no time"),
        (json!({"nbf": now() + 60}), "not valid yet"),
        (json!({"aud": "other"}), "audience"),
        (json!({"aud": ["other", 5]}), "audience"),
        (json!({"aud": null}), "audience"),
        (json!({"iss": "https://evil.example.com"}), "issuer"),
        (json!({"iss": ["https://id.example.com"]}), "issuer"),
        (json!({"iss": null}), "issuer"),
        (json!({"sub": null}), "no user"),
        (json!({"sub": ""}), "no user"),
        (json!({"sub": {"a": 1}}), "no text"),
        (json!({"sub": "x".repeat(513)}), "longer"),
        (json!({"roles": [1]}), "not all text"),
        (json!({"roles": {"admin": true}}), "neither text nor a list"),
        (json!({"roles": vec!["r"; 65]}), "64 roles"),
    ] {
        let message = refused(&identifier, &signed(more.clone()));
        assert!(message.contains(said), "{more}: {message}");
    }
    for good in [
        json!({"exp": now() - 25}),
        json!({"exp": now() as f64 + 60.5}),
        json!({"exp": u64::MAX}),
        json!({"nbf": now() + 25}),
        json!({"aud": ["other", "sluice"]}),
    ] {
        admit(&identifier, &signed(good.clone()))
            .unwrap_or_else(|refusal| panic!("{good}: {refusal:?}"));
    }
}

#[test]
fn signatures_that_do_not_hold() {
    let identifier = Identifier::new(&config());
    let good = signed(json!({}));
    admit(&identifier, &good).unwrap();
    let (signed_part, signature) = good.rsplit_once('.').unwrap();
    let claims = claims(json!({"sub": "root"}));
    let forged = raw(json!({"alg": "HS256"}), &claims, signature);
    let wrong_secret = EncodingKey::from_secret(&[7; 64]);
    let others = encode(&Header::new(Algorithm::HS256), &claims, &wrong_secret).unwrap();
    for (token, said) in [
        (forged, "signature"),
        (others, "signature"),
        (format!("{signed_part}."), "signature"),
        (format!("{signed_part}.{signature}x"), "signature"),
        (raw(json!({"alg": "none"}), &claims, ""), "algorithm"),
        (raw(json!({"alg": "None"}), &claims, ""), "algorithm"),
        (
            raw(json!({"alg": "RS256"}), &claims, signature),
            "signature",
        ),
        (
            raw(json!({"alg": "EdDSA"}), &claims, signature),
            "signature",
        ),
        (
            raw(json!({"alg": "HS256", "kid": "x"}), &claims, signature),
            "not known",
        ),
        (
            raw(json!({"alg": "HS256", "crit": ["b64"]}), &claims, signature),
            "crit",
        ),
        (raw(json!({"alg": 5}), &claims, signature), "header"),
        (raw(json!({"typ": "JWT"}), &claims, signature), "header"),
        (raw(json!([]), &claims, signature), "header"),
        (format!("{good}.{good}"), "three parts"),
        (signed_part.to_owned(), "three parts"),
        ("..".to_owned(), "header"),
        ("garbage".to_owned(), "three parts"),
        (format!("{signed_part}.{}", "A".repeat(8 << 10)), "too long"),
    ] {
        let message = refused(&identifier, &token);
        assert!(message.contains(said), "{token}: {message}");
    }
}

/// A public key is public: used as the secret of HS256 it must verify nothing.
#[test]
fn a_public_key_is_no_secret() {
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let pem = pair.public_key_pem();
    let mut config = config();
    config.jwt.secret = None;
    config.jwt.public_key = Some(pem.clone());
    assert_eq!(keys::mistakes(&config.jwt), []);
    let identifier = Identifier::new(&config);
    let sign = |alg, key: &EncodingKey| encode(&Header::new(alg), &claims(json!({})), key).unwrap();
    let private = EncodingKey::from_ec_der(&pair.serialize_der());
    admit(&identifier, &sign(Algorithm::ES256, &private)).unwrap();
    for secret in [pem.as_bytes(), pem.trim().as_bytes(), pair.public_key_raw()] {
        let token = sign(Algorithm::HS256, &EncodingKey::from_secret(secret));
        assert!(refused(&identifier, &token).contains("signature"));
    }
}

#[test]
fn keys_that_cannot_be_used() {
    let fault = |set: &dyn Fn(&mut JwtOptions)| {
        let mut config = config();
        config.jwt.secret = None;
        set(&mut config.jwt);
        let mut found = keys::mistakes(&config.jwt);
        assert_eq!(found.len(), 1, "{found:?}");
        found.remove(0).1
    };
    assert!(fault(&|jwt| jwt.secret = Some("short".to_owned())).contains("at least 32"));
    let hs512 = fault(&|jwt| {
        jwt.secret = Some("x".repeat(40));
        jwt.algorithms = vec!["HS512".to_owned()];
    });
    assert!(hs512.contains("none of jwt.algorithms"), "{hs512}");
    assert!(fault(&|jwt| jwt.public_key = Some("x".to_owned())).contains("no public key"));
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let private = pair.serialize_pem();
    assert!(fault(&|jwt| jwt.public_key = Some(private.clone())).contains("private"));
    assert!(fault(&|jwt| jwt.jwks_url = Some("ftp://x".to_owned())).contains("https://"));
    for (set, said) in [
        ("{", "no JSON Web Key Set"),
        (r#"{"keys":[]}"#, "no usable key"),
        (r#"{"keys":[{"kty":"oct","k":"c2hvcnQ"}]}"#, "at least 32"),
        (
            r#"{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"}]}"#,
            "2048 bits",
        ),
        (
            r#"{"keys":[{"kty":"EC","crv":"P-521","x":"AQ","y":"AQ"}]}"#,
            "curve",
        ),
        (
            r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"AQ","alg":"RS256"}]}"#,
            "alg",
        ),
        (r#"{"keys":[{"kty":"?"},5]}"#, "not known"),
    ] {
        let message = KeySet::from_jwks(set.as_bytes()).unwrap_err();
        assert!(message.contains(said), "{set}: {message}");
    }
}

#[test]
fn secrets_take_what_they_are_long_enough_for() {
    let mut config = config();
    config.jwt.secret = Some(SECRET[..48].to_owned());
    let identifier = Identifier::new(&config);
    let key = EncodingKey::from_secret(&SECRET.as_bytes()[..48]);
    for (alg, good) in [
        (Algorithm::HS256, true),
        (Algorithm::HS384, true),
        (Algorithm::HS512, false),
    ] {
        let token = encode(&Header::new(alg), &claims(json!({})), &key).unwrap();
        assert_eq!(admit(&identifier, &token).is_ok(), good, "{alg:?}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic_or_let_in(text in ".{0,200}", parts in prop::collection::vec("[A-Za-z0-9_-]{0,40}", 0..5)) {
        let identifier = Identifier::new(&config());
        for token in [text.clone(), parts.join("."), format!("{}.{text}", parts.join("."))] {
            prop_assert!(admit(&identifier, &token).is_err());
            let _ = token::parse(&token, 100);
        }
    }

    #[test]
    fn no_header_makes_it_panic_or_let_in(header in prop::collection::vec(any::<u8>(), 0..80), at in 0usize..300, with in any::<u8>()) {
        let identifier = Identifier::new(&config());
        let token = format!("{}.e30.AA", URL_SAFE_NO_PAD.encode(&header));
        prop_assert!(admit(&identifier, &token).is_err());
        // One byte of a good token changed: never another identity.
        let good = signed(json!({}));
        let mut bytes = good.clone().into_bytes();
        let at = at % bytes.len();
        bytes[at] = with;
        if let Ok(changed) = String::from_utf8(bytes)
            && changed != good
            && let Ok(session) = admit(&identifier, &changed)
        {
            prop_assert_eq!(session.identity.user_id.as_deref(), Some("ann"));
        }
    }
}
