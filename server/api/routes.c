/* What is served where. */
#include "service.h"
#include "stages.h"

const struct route service_api_routes[] = {
    {"POST", "/v1/encode", false, encode_admit, request_grow, request_begin},
    {"POST", "/v1/decode", false, decode_admit, request_grow, request_begin},
    {"POST", "/v1/reconstruct", false, reconstruct_admit, request_grow, request_begin},
    {"GET", "/v1/model", false, NULL, NULL, model_handle},
    {"GET", "/v1/models", false, NULL, NULL, models_handle},
    {"GET", "/v1/codebook", false, NULL, NULL, codebook_handle},
    {"GET", "/v1/codebook/usage", false, NULL, NULL, codebook_usage_handle},
    {"GET", "/v1/codebook/vectors", false, NULL, NULL, codebook_vectors_handle},
    {"GET", "/v1/codebook/codes/{id}", false, NULL, NULL, codebook_code_handle},
    {"GET", "/v1/statistics", false, NULL, NULL, statistics_handle},
    {"GET", "/v2", false, NULL, NULL, infer_server_handle},
    {"GET", "/v2/health/live", true, NULL, NULL, infer_live_handle},
    {"GET", "/v2/health/ready", true, NULL, NULL, infer_ready_handle},
    {"GET", "/v2/models/{id}", false, NULL, NULL, infer_model_handle},
    {"GET", "/v2/models/{id}/ready", false, NULL, NULL, infer_model_ready_handle},
    {"POST", "/v2/models/{id}/infer", false, infer_admit, request_grow, request_begin},
    {"GET", "/v2/models/{id}/versions/1", false, NULL, NULL, infer_model_handle},
    {"GET", "/v2/models/{id}/versions/1/ready", false, NULL, NULL, infer_model_ready_handle},
    {"POST", "/v2/models/{id}/versions/1/infer", false, infer_admit, request_grow, request_begin},
    {"GET", "/", true, NULL, NULL, pages_handle},
    {"GET", "/assets/dashboard.css", true, NULL, NULL, pages_handle},
    {"GET", "/assets/dashboard.js", true, NULL, NULL, pages_handle},
    {"GET", "/assets/page.js", true, NULL, NULL, pages_handle},
    {"GET", "/assets/charts.js", true, NULL, NULL, pages_handle},
    {"GET", "/assets/codebooks.js", true, NULL, NULL, pages_handle},
    {"GET", "/assets/looks.js", true, NULL, NULL, pages_handle},
    {"GET", "/assets/pictures.js", true, NULL, NULL, pages_handle},
    {"GET", "/assets/chelsea.jpg", true, NULL, NULL, pages_handle},
    {"GET", "/assets/coffee.jpg", true, NULL, NULL, pages_handle},
    {"GET", "/assets/uPlot.css", true, NULL, NULL, pages_handle},
    {"GET", "/assets/uPlot.js", true, NULL, NULL, pages_handle},
    {"GET", "/openapi.json", true, NULL, NULL, pages_handle},
};
const size_t service_api_route_count = sizeof service_api_routes / sizeof *service_api_routes;

const struct route service_admin_routes[] = {
    {"GET", "/livez", true, NULL, NULL, livez_handle},
    {"GET", "/readyz", true, NULL, NULL, readyz_handle},
    {"GET", "/metrics", true, NULL, NULL, metrics_handle},
    {"GET", "/metrics/codes", true, NULL, NULL, metrics_codes_handle},
};
const size_t service_admin_route_count = sizeof service_admin_routes / sizeof *service_admin_routes;
