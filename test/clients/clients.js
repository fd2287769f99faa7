// The three operations as each client library offers them, behind one face: give, list and remove,
// each answering {status, headers, body}. No expectations here; those stand in scenario.js.
import { OpenAPIClientAxios } from 'openapi-client-axios';
import SwaggerClient from 'swagger-client';
import create_fetch_client from 'openapi-fetch';

const PATH = '/v2/calls/users-access';

async function openapi_client_axios(document, base_url, key) {
  const api = new OpenAPIClientAxios({
    definition: document,
    withServer: { url: base_url },
    axiosConfigDefaults: {
      auth: { username: key.access_key, password: key.secret },
      validateStatus: () => true,
      // An environment's proxy must not come between a test and its server.
      proxy: false,
    },
  });
  const client = await api.init();
  const call = (operation) => async (body) => {
    const answer = await client[operation](null, body);
    return { status: answer.status, headers: { ...answer.headers }, body: answer.data };
  };
  return {
    give: call('addUsersAccessToCalls'),
    list: call('getUsersAccessToCalls'),
    remove: call('deleteUsersAccessToCalls'),
  };
}

async function swagger_client(document, base_url, key) {
  const schemes = Object.entries(document.components.securitySchemes);
  const [scheme_name] = schemes.find(
    ([, scheme]) => scheme.type === 'http' && scheme.scheme === 'basic',
  );
  const client = await new SwaggerClient({
    spec: { ...document, servers: [{ url: base_url }] },
    authorizations: { [scheme_name]: { username: key.access_key, password: key.secret } },
  });
  const call = (operationId) => async (requestBody) => {
    // Anything but 2xx is thrown, with the answer inside.
    const answer = await client.execute({ operationId, requestBody }).catch((error) => {
      if (!error.response) throw error;
      return error.response;
    });
    return { status: answer.status, headers: answer.headers, body: answer.body };
  };
  return {
    give: call('addUsersAccessToCalls'),
    list: call('getUsersAccessToCalls'),
    remove: call('deleteUsersAccessToCalls'),
  };
}

async function openapi_fetch(_document, base_url, key) {
  const token = Buffer.from(`${key.access_key}:${key.secret}`).toString('base64');
  const client = create_fetch_client({
    baseUrl: base_url,
    headers: { authorization: `Basic ${token}` },
  });
  const call = (method) => async (body) => {
    const { data, error, response } = await client[method](PATH, { body });
    return {
      status: response.status,
      headers: Object.fromEntries(response.headers.entries()),
      body: data ?? error,
    };
  };
  return { give: call('PUT'), list: call('POST'), remove: call('DELETE') };
}

export const makers = { openapi_client_axios, swagger_client, openapi_fetch };
