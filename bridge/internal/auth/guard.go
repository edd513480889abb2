package auth

import "net/http"

// Provider verifies the credentials of one kind. It is safe for concurrent use.
type Provider interface {
	// Authenticate returns who a request comes from; nil if it has no credential of this kind. Errors
	// are a *RefusedError or ErrUnavailable. It may wait for another service, until the request's context
	// ends.
	Authenticate(r *http.Request) (*Identity, error)
}

// Guard admits the requests of a route. A nil Guard admits every request as anonymous.
type Guard struct {
	Provider Provider
	Required bool // anonymous requests are refused
	Allow    []Condition
}

// Admit returns who a request comes from; nil is anonymous. params are the variables of its path. Errors
// are those of Provider.
func (g *Guard) Admit(r *http.Request, params map[string]string) (*Identity, error) {
	if g == nil {
		return nil, nil //nolint:nilnil // nobody is anonymous
	}
	who, err := g.Provider.Authenticate(r)
	if err != nil {
		return nil, err
	}
	if who == nil {
		if g.Required {
			return nil, &RefusedError{Reason: ReasonMissing}
		}
		return nil, nil //nolint:nilnil // anonymous
	}
	for _, c := range g.Allow {
		if !c.holds(who.Claims, params) {
			return nil, &RefusedError{Reason: ReasonDenied}
		}
	}
	return who, nil
}
