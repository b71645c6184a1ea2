//! Who sends a request, and what that costs those who are refused.

use std::net::IpAddr;
use std::sync::Arc;

use sluice_protocol::{CallError, Identity};

use super::{Asked, Edge};
use crate::edge::identity::{self, Peer};
use crate::edge::service::CallService;
use crate::identity::{Session, credential};
use crate::pipeline::Caller;
use crate::telemetry::names::Series;

impl<S: CallService> Edge<S> {
    /// Whoever's credential the request carries.
    pub(super) async fn session(&self, asked: &Asked<'_>) -> Result<Arc<Session>, CallError> {
        let identifier = &self.parts().identifier;
        let address = self.address(asked);
        let session = async {
            // Whoever guesses credentials costs no more than this look.
            let checked = identifier.refused().check(address);
            checked.inspect_err(|_| self.count_window())?;
            let credential = credential::from_headers(&asked.head.headers)?;
            identifier.identify(credential.as_ref()).await
        };
        let session = session.await;
        session.inspect_err(|error| identifier.refused().note(address, error))
    }

    /// Notes what this edge itself refuses, as the pipeline notes what it refuses: by caller. Whoever is
    /// refused all the time is told nothing else.
    pub(super) fn refuse(
        &self,
        identity: &Identity,
        caller: &Caller,
        error: CallError,
    ) -> CallError {
        let refused = self.parts().identifier.refused();
        let who = refused.who(caller, identity);
        if let Err(over) = refused.check(who) {
            self.count_window();
            return over;
        }
        refused.note(who, &error);
        error
    }

    fn count_window(&self) {
        if let Some(recorder) = self.recorder() {
            recorder.inc(Series::RefusedWindow);
        }
    }

    /// Where the client is, as far as that is known.
    fn address(&self, asked: &Asked<'_>) -> Option<IpAddr> {
        let peer = asked.head.extensions.get::<Peer>()?;
        let identifier = &self.parts().identifier;
        Some(identifier.address(peer.0, &asked.head.headers))
    }

    /// For whom the request acts, and what else is known of its sender.
    pub(super) async fn identify(
        &self,
        asked: &Asked<'_>,
        claim: Option<Identity>,
    ) -> Result<(Identity, Caller), CallError> {
        let session = self.session(asked).await?;
        self.acting(asked, &session, claim)
    }

    pub(super) fn acting(
        &self,
        asked: &Asked<'_>,
        session: &Session,
        claim: Option<Identity>,
    ) -> Result<(Identity, Caller), CallError> {
        let identifier = &self.parts().identifier;
        let headers = &asked.head.headers;
        let trusts = identifier.trusts_clients() && !session.is_verified();
        let claim = match (claim, trusts) {
            (claim, true) => identity::from_claim(true, claim.unwrap_or_default(), headers)?,
            (claim, false) => claim.unwrap_or_default(),
        };
        let address = self.address(asked);
        let identity = identifier.acting(session, claim);
        let identity = identity.inspect_err(|error| identifier.refused().note(address, error))?;
        Ok((identity, session.caller_at(address)))
    }
}
