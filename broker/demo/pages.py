"""The status page: its own application, started by the demo only, on loopback; it shows fictional data and nothing else.

Nothing is loaded from elsewhere, and only a form of its own pages can revoke: a request says where it comes from
(Fetch Metadata, or the Origin header of older browsers), and its host must be this machine (DNS rebinding).
"""

from collections.abc import Mapping
from http import HTTPStatus
from importlib.resources import files

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.exceptions import HTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware

from broker.demo.teller import Teller
from broker.errors import BrokerError, NotFound

HOSTS = ("127.0.0.1", "localhost")
_HEADERS: Mapping[str, str] = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src data:; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
_GONE = "Deze pagina bestaat niet."
_LATER = "De databank antwoordt nu niet. Laad de pagina zo dadelijk opnieuw."
_FOREIGN = "Dit formulier werkt alleen vanop deze pagina zelf."


def create_pages(teller: Teller) -> FastAPI:
    """The application over one teller."""
    app = FastAPI(title="datanuts demo", openapi_url=None, docs_url=None, redoc_url=None)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(HOSTS))
    templates = Environment(loader=PackageLoader("broker.demo"), autoescape=True, undefined=StrictUndefined)
    style = files("broker.demo").joinpath("templates/stijl.css").read_bytes()

    def page(name: str, status: HTTPStatus = HTTPStatus.OK, **values: object) -> Response:
        return HTMLResponse(templates.get_template(name).render(values), status, dict(_HEADERS))

    @app.get("/")
    async def story() -> Response:
        return page("story.html", story=await teller.story())

    @app.get("/protocol/{agreement}")
    async def protocol(agreement: str) -> Response:
        return page("protocol.html", text=await teller.protocol(agreement))

    @app.post("/intrekken")
    async def revoke(request: Request) -> Response:
        if not same_origin(request.headers):
            return page("melding.html", HTTPStatus.FORBIDDEN, text=_FOREIGN)
        await teller.revoke()
        return RedirectResponse("/#intrekken", HTTPStatus.SEE_OTHER, dict(_HEADERS))

    @app.get("/stijl.css")
    async def stylesheet() -> Response:
        return Response(style, media_type="text/css", headers=dict(_HEADERS))

    @app.exception_handler(BrokerError)
    async def failed(_request: Request, error: BrokerError) -> Response:
        if isinstance(error, NotFound):
            return page("melding.html", HTTPStatus.NOT_FOUND, text=_GONE)
        return page("melding.html", HTTPStatus.SERVICE_UNAVAILABLE, text=_LATER)

    @app.exception_handler(HTTPException)
    async def unrouted(_request: Request, error: HTTPException) -> Response:
        return page("melding.html", HTTPStatus(error.status_code), text=_GONE)

    return app


def same_origin(headers: Mapping[str, str]) -> bool:
    """Whether a browser says that a form of this very site sent the request; without any word of it: no."""
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    return site == "same-origin" if site is not None else origin == f"http://{headers.get('host')}"
