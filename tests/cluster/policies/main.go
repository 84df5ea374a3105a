// What NetworkPolicies mean, by somebody else's reading of them: the policies and the traffic that is asked about come
// as JSON, and for each whether it would be let through goes out.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/mattfenwick/cyclonus/pkg/matcher"
	v1 "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
)

type peer struct {
	IP        string            `json:"ip"`
	Namespace string            `json:"namespace"`
	Labels    map[string]string `json:"labels"`
}

type question struct {
	Source      peer   `json:"source"`
	Destination peer   `json:"destination"`
	Port        int    `json:"port"`
	Protocol    string `json:"protocol"`
}

type asked struct {
	Policies  []*networking.NetworkPolicy `json:"policies"`
	Questions []question                  `json:"questions"`
}

func (p peer) traffic() *matcher.TrafficPeer {
	found := &matcher.TrafficPeer{IP: p.IP}
	if p.Namespace != "" {
		found.Internal = &matcher.InternalPeer{PodLabels: p.Labels, Namespace: p.Namespace}
	}
	return found
}

func main() {
	var given asked
	if err := json.NewDecoder(os.Stdin).Decode(&given); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	policy := matcher.BuildNetworkPolicies(false, given.Policies)
	answers := []bool{}
	for _, q := range given.Questions {
		traffic := &matcher.Traffic{
			Source:       q.Source.traffic(),
			Destination:  q.Destination.traffic(),
			ResolvedPort: q.Port,
			Protocol:     v1.Protocol(q.Protocol),
		}
		answers = append(answers, policy.IsTrafficAllowed(traffic).IsAllowed())
	}
	if err := json.NewEncoder(os.Stdout).Encode(answers); err != nil {
		os.Exit(1)
	}
}
