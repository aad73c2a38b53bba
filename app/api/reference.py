"""`/docs`: the API's reference page, on which people try requests out; it loads nothing from the internet."""

from importlib.util import find_spec
from pathlib import Path

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse, JSONResponse
from fastapi.staticfiles import StaticFiles

PAGE = "/docs"
DOCUMENT = "/openapi.json"
SCRIPT, STYLE, ICON = "swagger-ui-bundle.js", "swagger-ui.css", "favicon.png"
OPEN_PATHS = frozenset({PAGE, DOCUMENT, *(f"{PAGE}/{name}" for name in (SCRIPT, STYLE, ICON))})
"""What a browser loads before anybody has typed a key; nothing in it is secret."""


def add_reference(app: FastAPI) -> None:
    """Serves the page, the OpenAPI document that it shows, and the files of Swagger UI that it needs."""
    # Relative addresses: they also hold where a proxy serves everything below a path of its own.
    page = get_swagger_ui_html(
        title=f"{app.title} API",
        openapi_url=DOCUMENT.lstrip("/"),
        swagger_js_url=f"{PAGE}/{SCRIPT}".lstrip("/"),
        swagger_css_url=f"{PAGE}/{STYLE}".lstrip("/"),
        swagger_favicon_url=f"{PAGE}/{ICON}".lstrip("/"),
        swagger_ui_parameters={"defaultModelsExpandDepth": 0, "displayRequestDuration": True},
    )

    @app.get(PAGE, include_in_schema=False)
    async def show_reference() -> HTMLResponse:
        return page

    # Not `async`: the first call builds the document for most of a second, and must not hold up decisions meanwhile.
    @app.get(DOCUMENT, include_in_schema=False)
    def show_document() -> JSONResponse:
        return JSONResponse(app.openapi())

    app.mount(PAGE, StaticFiles(directory=_swagger_ui()))


def _swagger_ui() -> Path:
    """The files of Swagger UI that fastapi-offline ships; the package itself is not imported."""
    found = find_spec("fastapi_offline")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / "static"
