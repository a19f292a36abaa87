//! Counts what is answered, by class of status.

use actix_web::{
    Error,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    middleware::Next,
    web,
};

use crate::telemetry::Metrics;

/// The middleware, outermost of all. The application's data holds the [`Metrics`].
///
/// # Errors
/// Those of the services below.
pub async fn responses<B: MessageBody>(
    metrics: web::Data<Metrics>,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let response = next.call(request).await?;
    metrics.http_request(response.status().as_u16());
    Ok(response)
}
