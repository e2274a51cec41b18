// Shows the OpenAPI document of this service.

window.SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#api",
  deepLinking: true,
  // Its validator is another site's.
  validatorUrl: null,
});
