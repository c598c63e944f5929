/* What is served where. */
#include "service.h"
#include "stages.h"

const struct route service_api_routes[] = {
    {"POST", "/v1/encode", 0, encode_admit, request_grow, request_begin},
    {"POST", "/v1/decode", 0, decode_admit, request_grow, request_begin},
    {"POST", "/v1/reconstruct", 0, reconstruct_admit, request_grow, request_begin},
    {"GET", "/v1/model", ROUTE_POLLED, NULL, NULL, model_handle},
    {"GET", "/v1/models", ROUTE_POLLED, NULL, NULL, models_handle},
    {"GET", "/v1/codebook", ROUTE_POLLED, NULL, NULL, codebook_handle},
    {"GET", "/v1/codebook/usage", ROUTE_POLLED, NULL, NULL, codebook_usage_handle},
    {"GET", "/v1/codebook/vectors", 0, NULL, NULL, codebook_vectors_handle},
    {"GET", "/v1/codebook/codes/{id}", 0, NULL, NULL, codebook_code_handle},
    {"GET", "/v1/statistics", ROUTE_POLLED, NULL, NULL, statistics_handle},
    {"GET", "/v2", 0, NULL, NULL, infer_server_handle},
    {"GET", "/v2/health/live", ROUTE_OPEN | ROUTE_POLLED, NULL, NULL, infer_live_handle},
    {"GET", "/v2/health/ready", ROUTE_OPEN | ROUTE_POLLED, NULL, NULL, infer_ready_handle},
    {"GET", "/v2/models/{id}", 0, NULL, NULL, infer_model_handle},
    {"GET", "/v2/models/{id}/ready", ROUTE_POLLED, NULL, NULL, infer_model_ready_handle},
    {"POST", "/v2/models/{id}/infer", 0, infer_admit, request_grow, request_begin},
    {"GET", "/v2/models/{id}/versions/1", 0, NULL, NULL, infer_model_handle},
    {"GET", "/v2/models/{id}/versions/1/ready", ROUTE_POLLED, NULL, NULL, infer_model_ready_handle},
    {"POST", "/v2/models/{id}/versions/1/infer", 0, infer_admit, request_grow, request_begin},
    {"GET", "/", ROUTE_OPEN, NULL, NULL, pages_handle},
    {"GET", "/assets/dashboard.css", ROUTE_OPEN, NULL, NULL, pages_handle},
    {"GET", "/assets/dashboard.js", ROUTE_OPEN, NULL, NULL, pages_handle},
    {"GET", "/assets/page.js", ROUTE_OPEN, NULL, NULL, pages_handle},
    {"GET", "/assets/charts.js", ROUTE_OPEN, NULL, NULL, pages_handle},
    {"GET", "/assets/codebooks.js", ROUTE_OPEN, NULL, NULL, pages_handle},
    {"GET", "/assets/looks.js", ROUTE_OPEN, NULL, NULL, pages_handle},
    {"GET", "/assets/pictures.js", ROUTE_OPEN, NULL, NULL, pages_handle},
    {"GET", "/assets/chelsea.jpg", ROUTE_OPEN, NULL, NULL, pages_handle},
    {"GET", "/assets/coffee.jpg", ROUTE_OPEN, NULL, NULL, pages_handle},
    {"GET", "/assets/uPlot.css", ROUTE_OPEN, NULL, NULL, pages_handle},
    {"GET", "/assets/uPlot.js", ROUTE_OPEN, NULL, NULL, pages_handle},
    {"GET", "/openapi.json", ROUTE_OPEN, NULL, NULL, pages_handle},
};
const size_t service_api_route_count = sizeof service_api_routes / sizeof *service_api_routes;

const struct route service_admin_routes[] = {
    {"GET", "/livez", ROUTE_OPEN | ROUTE_POLLED, NULL, NULL, livez_handle},
    {"GET", "/readyz", ROUTE_OPEN | ROUTE_POLLED, NULL, NULL, readyz_handle},
    {"GET", "/metrics", ROUTE_OPEN | ROUTE_POLLED, NULL, NULL, metrics_handle},
    {"GET", "/metrics/codes", ROUTE_OPEN | ROUTE_POLLED, NULL, NULL, metrics_codes_handle},
};
const size_t service_admin_route_count = sizeof service_admin_routes / sizeof *service_admin_routes;
