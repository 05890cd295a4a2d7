import jakarta.servlet.DispatcherType;
import jakarta.servlet.Filter;
import jakarta.servlet.FilterChain;
import jakarta.servlet.ServletException;
import jakarta.servlet.ServletRequest;
import jakarta.servlet.ServletResponse;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;
import java.io.Reader;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Base64;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.Map;
import java.util.Properties;
import java.util.UUID;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.hadoop.conf.Configuration;
import org.apache.iceberg.CatalogUtil;
import org.apache.iceberg.catalog.Catalog;
import org.apache.iceberg.rest.RESTCatalogAdapter;
import org.apache.iceberg.rest.RESTCatalogServlet;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.servlet.FilterHolder;
import org.eclipse.jetty.servlet.ServletContextHandler;
import org.eclipse.jetty.servlet.ServletHolder;

/**
 * Iceberg's own REST routes over a catalog in Postgres, on one port of this machine.
 *
 * <p>The argument is a file of properties: {@code port}, those of the catalog under {@code catalog.}, and, where clients
 * must show who they are, {@code client-id}, {@code client-secret} and {@code token-seconds}. Iceberg's routes give a
 * token to everybody and ask nobody for it, so that a filter stands before them.
 */
final class Main {
    private static final String CATALOG = "catalog.";

    public static void main(String[] arguments) throws Exception {
        Properties properties = new Properties();
        try (Reader reader = Files.newBufferedReader(Path.of(arguments[0]))) {
            properties.load(reader);
        }
        Map<String, String> ofCatalog = new HashMap<>();
        for (String name : properties.stringPropertyNames()) {
            if (name.startsWith(CATALOG)) {
                ofCatalog.put(name.substring(CATALOG.length()), properties.getProperty(name));
            }
        }
        Catalog catalog = CatalogUtil.buildIcebergCatalog(
                properties.getProperty("catalog.name"), ofCatalog, new Configuration());
        ServletContextHandler context = new ServletContextHandler();
        if (properties.getProperty("client-id") != null) {
            context.addFilter(new FilterHolder(new Gate(properties)), "/*", EnumSet.of(DispatcherType.REQUEST));
        }
        RESTCatalogServlet servlet = new RESTCatalogServlet(new RESTCatalogAdapter(catalog));
        context.addServlet(new ServletHolder(servlet), "/*");
        int port = Integer.parseInt(properties.getProperty("port"));
        Server server = new Server(new InetSocketAddress("127.0.0.1", port));
        server.setHandler(context);
        server.start();
        server.join();
    }

    /** OAuth2's client credentials: a token for those who know the secret, and no answer without one that is valid. */
    private static final class Gate implements Filter {
        private final String id;
        private final String secret;
        private final long seconds;
        private final Map<String, Long> validUntil = new ConcurrentHashMap<>();

        Gate(Properties properties) {
            id = properties.getProperty("client-id");
            secret = properties.getProperty("client-secret");
            seconds = Long.parseLong(properties.getProperty("token-seconds"));
        }

        @Override
        public void doFilter(ServletRequest asked, ServletResponse answered, FilterChain chain)
                throws IOException, ServletException {
            HttpServletRequest request = (HttpServletRequest) asked;
            HttpServletResponse response = (HttpServletResponse) answered;
            if (request.getRequestURI().equals("/v1/oauth/tokens")) {
                give(request, response);
            } else if (isKnown(request.getHeader("Authorization"))) {
                chain.doFilter(asked, answered);
            } else {
                response.setHeader("WWW-Authenticate", "Bearer");
                answer(response, 401, "{\"error\":{\"message\":\"No valid token\","
                        + "\"type\":\"NotAuthorizedException\",\"code\":401}}");
            }
        }

        private boolean isKnown(String authorization) {
            if (authorization == null || !authorization.startsWith("Bearer ")) {
                return false;
            }
            Long until = validUntil.get(authorization.substring("Bearer ".length()));
            return until != null && System.nanoTime() < until;
        }

        private void give(HttpServletRequest request, HttpServletResponse response) throws IOException {
            String shownId = request.getParameter("client_id");
            String shownSecret = request.getParameter("client_secret");
            String authorization = request.getHeader("Authorization");
            if (authorization != null && authorization.startsWith("Basic ")) {
                byte[] pair = Base64.getDecoder().decode(authorization.substring("Basic ".length()));
                String[] parts = new String(pair, StandardCharsets.UTF_8).split(":", 2);
                shownId = parts[0];
                shownSecret = parts[parts.length - 1];
            }
            if (!"client_credentials".equals(request.getParameter("grant_type"))) {
                answer(response, 400, "{\"error\":\"unsupported_grant_type\"}");
            } else if (!id.equals(shownId) || !secret.equals(shownSecret)) {
                answer(response, 401, "{\"error\":\"invalid_client\",\"error_description\":\"Unknown client\"}");
            } else {
                String token = UUID.randomUUID().toString();
                validUntil.put(token, System.nanoTime() + seconds * 1_000_000_000L);
                answer(response, 200, "{\"access_token\":\"" + token + "\",\"token_type\":\"bearer\",\"expires_in\":" + seconds
                        + ",\"issued_token_type\":\"urn:ietf:params:oauth:token-type:access_token\"}");
            }
        }

        private static void answer(HttpServletResponse response, int status, String body) throws IOException {
            response.setStatus(status);
            response.setContentType("application/json");
            response.getOutputStream().write(body.getBytes(StandardCharsets.UTF_8));
        }
    }
}
