//! Lists objects page by page.

use std::time::Duration;

use kube::{api::ListParams, core::response::Status};

use super::{
    Cluster, ClusterError, ClusterObject,
    projection::{self, ProjectedItem},
    requests::ListRequest,
};
use nadmit_api::watch::{ListWatch, Page};

/// The number of objects per page.
const PAGE_SIZE: u32 = 500;
/// The timeout of the request for a page.
const PAGE_TIMEOUT: Duration = Duration::from_secs(60);
/// The maximum number of restarts of a list because its continue token has expired.
const MAX_RESTARTS: usize = 3;

/// The objects of a list.
#[derive(Default)]
pub(super) struct ListedObjects {
    pub objects: Vec<ClusterObject>,
    /// The number of further objects that are unrelated to networks.
    pub unrelated: usize,
    /// True if the cluster does not have the kind.
    pub missing: bool,
}

/// The result of the request for a page.
enum PageResponse {
    Page(String),
    /// The continue token has expired.
    Expired(String),
    /// The cluster does not have the kind.
    NoSuchKind,
}

impl Cluster {
    /// Returns all objects of a list. `more` is called with the number of objects of each page.
    pub(super) async fn list(
        &self,
        list_request: &ListRequest,
        more: &impl Fn(usize),
    ) -> Result<ListedObjects, ClusterError> {
        let mut restarts = 0;
        let mut list = ListedObjects::default();
        let mut params = list_request.params(PAGE_SIZE);
        loop {
            let text = match self.page(list_request, &params).await? {
                PageResponse::Page(text) => text,
                PageResponse::NoSuchKind => {
                    return Ok(ListedObjects {
                        missing: true,
                        ..ListedObjects::default()
                    });
                }
                PageResponse::Expired(_)
                    if restarts < MAX_RESTARTS && params.continue_token.is_some() =>
                {
                    restarts += 1;
                    list = ListedObjects::default();
                    params.continue_token = None;
                    continue;
                }
                PageResponse::Expired(reason) => {
                    return Err(self.invalid_response(list_request, reason));
                }
            };
            let page = Page::parse(&text)
                .map_err(|error| self.invalid_response(list_request, error.to_string()))?;
            for item in page.items() {
                let projected = match list_request.every_object {
                    true => projection::project_every(&list_request.kind, item),
                    false => projection::project(&list_request.kind, item),
                };
                let projected = projected
                    .map_err(|error| self.invalid_response(list_request, error.to_string()))?;
                match projected {
                    ProjectedItem::Object(object) => list.objects.push(object),
                    ProjectedItem::Unrelated => list.unrelated += 1,
                    ProjectedItem::Excluded => {}
                }
            }
            more(page.items().len());
            params.continue_token = page.into_continue_token();
            if params.continue_token.is_none() {
                return Ok(list);
            }
        }
    }

    /// Returns true if the cluster has the kind of a list.
    pub(super) async fn has(&self, list_request: &ListRequest) -> Result<bool, ClusterError> {
        match self.page(list_request, &list_request.params(1)).await? {
            PageResponse::Page(_) => Ok(true),
            PageResponse::NoSuchKind => Ok(false),
            PageResponse::Expired(reason) => Err(self.invalid_response(list_request, reason)),
        }
    }

    async fn page(
        &self,
        list_request: &ListRequest,
        params: &ListParams,
    ) -> Result<PageResponse, ClusterError> {
        let resource = list_request.kind.full_resource();
        let path = list_request
            .kind
            .url_path(list_request.namespace.as_deref());
        let list_watch = ListWatch::new(self.client.clone(), path);
        let answered = tokio::time::timeout(PAGE_TIMEOUT, list_watch.page(params)).await;
        let answered = answered.map_err(|_| ClusterError::Timeout {
            server: self.server.clone(),
            resource: resource.clone(),
            timeout: PAGE_TIMEOUT,
        })?;
        match answered {
            Ok(text) => Ok(PageResponse::Page(text)),
            Err(kube::Error::Api(status)) => self.map_status(list_request, &status),
            Err(error) => Err(ClusterError::from_kube(&error, &self.server, &resource)),
        }
    }

    fn map_status(
        &self,
        list_request: &ListRequest,
        status: &Status,
    ) -> Result<PageResponse, ClusterError> {
        match status.code {
            401 => Err(ClusterError::Unauthorized {
                server: self.server.clone(),
            }),
            403 => Err(ClusterError::Forbidden {
                resource: list_request.kind.full_resource(),
                namespace: list_request.namespace.clone(),
                role: list_request.role,
                message: status.message.clone(),
            }),
            404 if !list_request.kind.built_in => Ok(PageResponse::NoSuchKind),
            410 => Ok(PageResponse::Expired(status.message.clone())),
            code => Err(self.invalid_response(list_request, format!("{code}: {}", status.message))),
        }
    }

    fn invalid_response(&self, list_request: &ListRequest, reason: String) -> ClusterError {
        ClusterError::InvalidResponse {
            server: self.server.clone(),
            resource: list_request.kind.full_resource(),
            reason,
        }
    }
}
