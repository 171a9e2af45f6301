// Swagger UI over our own OpenAPI document; validatorUrl null keeps it from asking a server elsewhere.
window.SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  validatorUrl: null,
});
